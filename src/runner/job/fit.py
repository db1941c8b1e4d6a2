"""One job's life: lock the directory, build, train, write the status, close."""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from runner.build.trained import trained_step
from runner.checkpoint.manifest import committed_steps
from runner.checkpoint.store import WEIGHTS, CheckpointStore
from runner.errors import DataError, Interrupted, RunError
from runner.job.logs import log_traceback, logging_to_console, logging_to_file
from runner.run.directory import RunDirectory
from runner.run.session import JobDescription, Session, open_session
from runner.run.status import Status, read_raw_status
from runner.runtime.signals import StopRequests
from runner.trackers.tracker import TrackedRun, Tracker
from runner.training.loop import Result, TrainingLoop
from runner.training.parts import Parts

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one job does: build its parts, train them in a directory, tell its trackers."""

    directory: RunDirectory
    description: JobDescription
    build: Callable[[], Parts]
    trackers: Mapping[str, Tracker]
    checkpoint_dir: str | None = None
    continue_completed: bool = False


def fit(job: Job) -> Result:
    """Do `job` and return its result; Interrupted when it was asked to stop and has saved."""
    directory = job.directory
    started: list[Tracker] = []
    with StopRequests() as stop, logging_to_console(), ExitStack() as log_file:
        try:
            with open_session(
                directory,
                job.description,
                stop=stop,
                continue_completed=job.continue_completed,
            ) as session:
                # Not before: until the directory is this job's, the log belongs to another one.
                log_file.enter_context(logging_to_file(directory.log_of_rank(0)))
                _log.info("run %s", os.path.relpath(directory.path))
                _place_checkpoints(job, session.id)
                parts = job.build()
                started = _start_trackers(job, session)  # of a run that can begin
                result = _train(parts, session, stop)
                _log.info("done score=%s best_step=%s", result.score, result.best_step)
        except Interrupted:
            _log.info("stopped; to go on: python -m runner resume %s", directory.path)
            stop.forward()
            raise
        except Exception:
            log_traceback("the run failed")
            raise
        finally:
            _finish_trackers(started, directory)
    return result


def _train(parts: Parts, session: Session, stop: StopRequests) -> Result:
    loop = TrainingLoop(parts, directory=session.directory, journal=session.journal, stop=stop)
    loop.restore()
    session.standing = lambda: _standing(loop.result)
    try:
        result = loop.run()
    except DataError as error:  # found inside training, where it is no mistake of the config
        raise RunError(str(error)) from error
    if stop.abandoned is not None:
        raise RunError(stop.abandoned)
    if stop.received is not None:  # after the last look of the loop: the next job completes the run
        raise Interrupted(stop.received)
    return result


def _standing(result: Result) -> dict[str, int | float | None]:
    return {"step": result.step, "score": result.score, "best_step": result.best_step}


def _place_checkpoints(job: Job, id: str) -> None:
    """With checkpoint.dir, let checkpoints/ be a link to a folder of this run in there."""
    link = job.directory.checkpoints
    if link.is_symlink() and not link.exists():
        raise RunError(
            f"{link} is a link to {link.readlink()}, which is not there: bring that folder back, "
            "or remove the link to begin without its checkpoints"
        )
    if job.checkpoint_dir is None:
        return
    target = Path(job.checkpoint_dir).absolute() / f"{job.description.name}_{id}"
    if not link.exists():
        target.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    elif link.resolve() != target.resolve():
        _log.warning(
            "checkpoint.dir=%s comes too late: the checkpoints of this run stay in %s",
            job.checkpoint_dir,
            link.resolve(),
        )


def _start_trackers(job: Job, session: Session) -> list[Tracker]:
    config = job.description.config
    nodes = config.get("trackers") or {}
    for name, tracker in job.trackers.items():
        run = TrackedRun(
            directory=job.directory,
            name=job.description.name,
            parameters=config,
            settings=nodes.get(name) or {},
            tags={"runner.id": session.id},
        )
        tracker.start(run)
    return list(job.trackers.values())


def _finish_trackers(trackers: list[Tracker], directory: RunDirectory) -> None:
    status = read_raw_status(directory.status)
    if status is None:
        return
    for tracker in trackers:
        tracker.finish(status.state, _final_model(directory, status))


def _final_model(directory: RunDirectory, status: Status) -> list[Path]:
    """Return the files of the trained model: its config and its weights."""
    if status.state != "completed" or not committed_steps(directory.checkpoints):
        return []
    step = trained_step(directory)
    return [directory.config, CheckpointStore(directory.checkpoints).path_of(step) / WEIGHTS]

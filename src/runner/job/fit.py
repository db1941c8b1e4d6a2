"""One job's life: meet the other ranks, lock the directory, build, train, write the status, close.

Rank 0 writes; the others have a session that writes nothing. Whoever fails tells the others why
before it leaves them, so that all end with the reason of the first and not with what it led to.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch

from runner.build.trained.result import final_model
from runner.config.duration import Duration, seconds_of
from runner.data.preprocessor import save_preprocessor
from runner.errors import ConfigError, DataError, Interrupted, RunError, RunnerError
from runner.job.hang import end_of_hang
from runner.job.last_words import last_words
from runner.job.logs import (
    log_traceback,
    logging_to_console,
    logging_to_file,
    output_to_file,
    own_logging,
)
from runner.job.place import Place
from runner.run.bystander import Bystander
from runner.run.data_note import write_data_note
from runner.run.directory import RunDirectory
from runner.run.session import JobDescription, Session, open_session
from runner.run.status import read_raw_status
from runner.runtime.garbage import old_objects_left_alone
from runner.runtime.ranks import Ranks, joined, tells_of_another_rank
from runner.runtime.seeds import mix, seed_everything
from runner.runtime.signals import StopRequests, step_to_stop_after
from runner.runtime.watchdog import Watchdog, patience_seconds
from runner.sweeps.directory import sweep_around
from runner.trackers.guarded import finish_trackers, start_trackers
from runner.trackers.tags import run_tags
from runner.trackers.tracker import TrackedRun, Tracker
from runner.training.loop import TrainingLoop
from runner.training.parts import Parts
from runner.training.result import Result

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one job does: build its parts, train them in a directory, tell its trackers."""

    directory: RunDirectory
    description: JobDescription
    build: Callable[[Ranks], Parts]
    trackers: Mapping[str, Tracker]  # of rank 0
    place: Place = field(default_factory=lambda: Place(device=torch.device("cpu")))
    checkpoint_dir: str | None = None
    continue_completed: bool = False
    hang_timeout: Duration | None = None
    delivered_to: Mapping[str, str] = field(default_factory=dict)  # see TrackedRun


def fit(job: Job) -> Result:
    """Do `job` and return its result; Interrupted when it was asked to stop and has saved."""
    started: dict[str, Tracker] = {}
    with (
        StopRequests(after_step=step_to_stop_after()) as stop,
        own_logging(),
        logging_to_console() if job.place.is_main else nullcontext(),
        ExitStack() as log_file,
    ):
        try:
            with (
                _joined(job, stop) as ranks,
                _session(job, ranks, stop) as session,
                _failing_together(ranks, stop),
            ):
                # Not before: until the directory is this job's, the log belongs to another one.
                _write_log(log_file, job.directory.log_of_rank(ranks.rank), ranks)
                for warning in session.warnings:
                    _log.warning("%s", warning)
                ranks.meet()  # a log that is begun later would be left of a run that never began
                parts = _build(job, ranks)
                if ranks.is_main:
                    _place_checkpoints(job, session.id)
                    _keep_preprocessor(job, parts)
                    write_data_note(job.directory.data, parts.data_fingerprint)
                ranks.meet()
                result = _train(
                    parts,
                    session,
                    stop,
                    job.hang_timeout,
                    on_restored=lambda: started.update(_start_trackers(job)),
                )
                session.outcome = "pruned" if result.is_pruned else "completed"
                _log.info("%s", last_words(result, job.directory, job.description.config))
        except Interrupted:
            if stop.after_step is None:  # else that was all that was asked for
                _log.info("stopped; to go on: python -m runner resume %s", job.directory.path)
            stop.forward()
            raise
        except Exception as error:
            if not isinstance(error, RunnerError):  # no refusal: there is something to look at
                _log.error("failed in %s", os.path.relpath(job.directory.path))
            log_traceback("the run failed")
            raise
        finally:
            _finish_trackers(started, job.directory)
    return result


def _joined(job: Job, stop: StopRequests) -> AbstractContextManager[Ranks]:
    timeout = seconds_of(job.hang_timeout)
    if timeout is not None:  # a collective fails later than the watchdog, which knows more, barks
        timeout += patience_seconds(timeout) + 60.0
    return joined(job.place.launch, device=job.place.device, timeout_seconds=timeout, stop=stop)


@contextmanager
def _session(job: Job, ranks: Ranks, stop: StopRequests) -> Iterator[Session]:
    """Open the session on rank 0; the others go on when it is open, or fail as it did."""
    if not ranks.is_main:
        answer = ranks.share(None)
        if isinstance(answer, BaseException):
            raise answer
        yield Bystander(job.directory, answer["id"], has_rows=answer["has_rows"])
        return
    with ExitStack() as opened:
        try:
            session = opened.enter_context(
                open_session(
                    job.directory,
                    job.description,
                    stop=stop,
                    continue_completed=job.continue_completed,
                )
            )
        except BaseException as error:
            if isinstance(error, Exception):
                ranks.report_failure(error)
            ranks.share(_plain(error))
            raise
        ranks.share({"id": session.id, "has_rows": session.journal.has_rows})
        yield session


def _plain(error: BaseException) -> BaseException:
    """Return `error`, or if others cannot be expected to unpickle it, one that says the same."""
    if isinstance(error, RunnerError | Interrupted | KeyboardInterrupt):
        return error
    return RunError(f"rank 0 failed: {type(error).__name__}: {error}")


@contextmanager
def _failing_together(ranks: Ranks, stop: StopRequests) -> Iterator[None]:
    """Tell the other ranks what fails within; raise what failed first, not what it led to."""
    try:
        yield
    except Exception as error:
        if (first := ranks.failure_behind(error)) is not None:
            raise first.as_error() from error
        if stop.received is not None and ranks.are_several and tells_of_another_rank(error):
            raise Interrupted(stop.received) from error  # as the rank that left before did
        ranks.report_failure(error)
        raise


def _write_log(log_file: ExitStack, path: Path, ranks: Ranks) -> None:
    """Write the log of this rank; rank 0 alone has the terminal."""
    log_file.enter_context(logging_to_file(path))
    if not ranks.is_main:
        log_file.enter_context(output_to_file(path))


def _build(job: Job, ranks: Ranks) -> Parts:
    """Build on all ranks with the same random numbers; from then on each rank has its own."""
    parts = job.build(ranks)
    if not ranks.is_main:
        seed_everything(mix(parts.options.seed, ranks.rank) >> 1)
    return parts


def _train(
    parts: Parts,
    session: Session,
    stop: StopRequests,
    hang_timeout: Duration | None,
    *,
    on_restored: Callable[[], None],
) -> Result:
    """Restore or take the first weights, call `on_restored`, and train."""
    ranks = parts.ranks
    on_hang = end_of_hang(session, ranks, hang_timeout)
    with Watchdog(seconds_of(hang_timeout), on_hang) as watchdog, old_objects_left_alone():
        loop = TrainingLoop(
            parts,
            directory=session.directory,
            journal=session.journal,
            stop=stop,
            beat=watchdog.beat,
        )
        loop.restore()
        on_restored()
        session.begin(step=loop.result.step)
        _log.info("run %s", os.path.relpath(session.directory.path))  # not of a job that is refused
        session.standing = lambda: _standing(loop.result)
        try:
            result = loop.run()
        except DataError as error:  # found inside training, where it is no mistake of the config
            raise RunError(str(error)) from error
        # After the last look of the loop: a stop that any rank has seen since; the next job
        # completes the run. One that was pruned has nothing left to do.
        stops = ranks.gather((stop.abandoned, stop.received))
    for abandoned, _ in stops:
        if abandoned is not None:
            raise RunError(abandoned)
    for _, received in stops:
        if received is not None and not result.is_pruned:
            raise Interrupted(received)
    return result


def _standing(result: Result) -> dict[str, int | float | None]:
    return {"step": result.step, "score": result.score, "best_step": result.best_step}


def _place_checkpoints(job: Job, id: str) -> None:
    """With checkpoint.dir, let checkpoints/ be a link to a folder of this run in there."""
    link = job.directory.checkpoints
    own_folder = f"{job.description.name}_{id}"
    moved = Path(job.checkpoint_dir or "").absolute() / own_folder
    if link.is_symlink() and not link.exists():
        if job.checkpoint_dir is None or not moved.is_dir():
            raise RunError(
                f"{link} is a link to {link.readlink()}, which is not there: bring that folder "
                f"back, give checkpoint.dir=FOLDER if {own_folder} lies in another FOLDER now, or "
                "remove the link to begin without its checkpoints"
            )
        link.unlink()  # made anew below
    if job.checkpoint_dir is None:
        return
    target = moved
    if not link.exists():
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"checkpoint.dir={job.checkpoint_dir}: {error}") from error
        link.symlink_to(target)
    elif link.resolve() != target.resolve():
        _log.warning(
            "checkpoint.dir=%s comes too late: the checkpoints of this run stay in %s",
            job.checkpoint_dir,
            link.resolve(),
        )


def _keep_preprocessor(job: Job, parts: Parts) -> None:
    """Save the preprocessor of the data, once for the run."""
    folder = job.directory.preprocessor
    if parts.preprocessor is not None and not folder.exists():
        save_preprocessor(parts.preprocessor, folder)


def _start_trackers(job: Job) -> dict[str, Tracker]:
    config = job.description.config
    nodes = config.get("trackers") or {}
    runs = {
        name: TrackedRun(
            directory=job.directory,
            name=job.description.name,
            tracker=name,
            parameters=config,
            settings=nodes.get(name) or {},
            tags=run_tags(job.directory),
            delivered_to=job.delivered_to,
            sweep=sweep_around(job.directory),
        )
        for name in job.trackers
    }
    return start_trackers(job.trackers, runs)


def _finish_trackers(trackers: Mapping[str, Tracker], directory: RunDirectory) -> None:
    status = read_raw_status(directory.status)
    if status is not None:
        finish_trackers(trackers, status.state, _final_model(directory))


def _final_model(directory: RunDirectory) -> list[Path]:
    """Return the files of the model of a run that is completed, with its card, written now."""
    try:
        return final_model(directory)
    except OSError as error:  # such as a full disk: the run is trained all the same
        _log.warning("%s could not be written: %s", directory.model_card, error)
        return []

"""One run on a cluster, without -m: check it, submit it, watch it; come back to it later."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from hydra.utils import instantiate

from runner.cli.check import check_config
from runner.cli.feeding import RunFeeding
from runner.cli.sweeps.asking import asks_to_cancel
from runner.cli.sweeps.console import waiting_in_words
from runner.cli.sweeps.launcher_node import changed_launcher, is_of_cluster
from runner.config.frozen import from_frozen, with_layout
from runner.config.options import SweepOptions
from runner.config.validate import validate
from runner.config.written import read_config
from runner.errors import ConfigError, Interrupted, RunError
from runner.job.ordered import OrderedJob
from runner.run.directory import RunDirectory
from runner.run.lease import Lease
from runner.run.status import Status, read_raw_status, read_status, write_status
from runner.runtime.signals import StopRequests
from runner.sweeps.drive import Drive, JobAtWork, JobsLeft, Watcher
from runner.sweeps.ledger import PlannedRun
from runner.sweeps.opening import LENGTH_KEYS
from runner.sweeps.outcomes import Outcome
from runner.sweeps.pool import Home
from runner.sweeps.slurm.book import JobBook, ids_in_words
from runner.sweeps.slurm.pool import jobs_at_work
from runner.sweeps.slurm.submission import require_sbatch
from runner.sweeps.source import ListSource
from runner.sweeps.summary import log_of
from runner.training.callbacks.console_view import short

LENGTHS = tuple(key.rpartition(".")[2] for key in LENGTH_KEYS)
_HERE = {"_target_": "hydra_plugins.runner_launchers.LocalLauncher"}
_GOOD = (Outcome.COMPLETED, Outcome.PRUNED)
_VERBS = {"failed": "", "cancelled": "was ", "preempted": "was "}


@dataclass(frozen=True, kw_only=True)
class ClusterRun:
    """A run with its frozen config, and the node of the launcher that takes it to a cluster."""

    directory: Path
    config: Mapping[str, Any]
    launcher: Mapping[str, Any]
    overrides: Sequence[str] = ()
    command: Sequence[str] = ()

    def submit(self, choices: Mapping[str, str], options: SweepOptions) -> float | None:
        """Check and submit the run and watch it to its end; return its score, if that is known.

        Raises ConfigError before anything is submitted; RunError if the run fails; Interrupted if
        this process is asked to stop: the run stays on the cluster unless the user cancels it.
        """
        require_sbatch()
        if options.check != "none":
            report = check_config(self.config, choices, options, is_elsewhere=True)
            for warning in report.warnings:
                print(f"note: {warning}", file=sys.stderr)
        is_refused = False
        try:
            with _held(self._directory) as stop:
                book = JobBook(self._directory.slurm)
                is_new = book.opening is None
                if not is_new:
                    self._refuse_other_config(book)
                book.opened(self.launcher, self.config)
                try:
                    return self.watch(stop)
                except RunError:
                    is_refused = is_new and book.is_unused  # by the cluster: no run has begun
                    raise
        finally:
            if is_refused:
                shutil.rmtree(self._directory.slurm_folder, ignore_errors=True)
                self._directory.slurm.unlink()

    def watch(self, stop: StopRequests) -> float | None:
        """Watch the job that is on the cluster, or submit one; see `submit`."""
        launcher: Any = instantiate(self.launcher)
        home = Home(
            name=str(self.config.get("name", "runner")),
            book=self._directory.slurm,
            folder=self._directory.slurm_folder,
        )
        run = PlannedRun(number=0, key="", overrides=(), config=self.config)
        console = _Console(self._directory)
        with (
            RunFeeding(self._directory, self.config) as feeding,
            closing(launcher.open_pool(preload=(), home=home)) as pool,
        ):
            drive = Drive(
                directory=_OnePlace(self._directory),
                source=ListSource([run], total=1),
                pool=pool,
                work_of=lambda _: self._job(feeding.delivered_to),
                watcher=console,
                retries=launcher.retries,
                watches=launcher.watches,
                cancels=lambda: asks_to_cancel(sys.stderr, stop.received),
            )
            try:
                drive.run(stop)
            except JobsLeft as left:
                console.left(left)
                if stop.received is not None:
                    raise Interrupted(stop.received) from left
                return None
        return console.result()

    def _refuse_other_config(self, book: JobBook) -> None:
        """Raise ConfigError if a job is there that does something else."""
        before = (book.opening or {}).get("config")
        if before != self.config and jobs_at_work(self._directory.slurm):
            raise ConfigError(
                f"the job of {self.directory} is on the cluster with another config: fresh=true "
                "starts a run beside it"
            )

    @property
    def _directory(self) -> RunDirectory:
        return RunDirectory(self.directory)

    def _job(self, delivered_to: Mapping[str, str]) -> OrderedJob:
        return OrderedJob(
            config=self.config,
            path=self.directory.absolute(),
            overrides=tuple(self.overrides),
            command=tuple(self.command),
            delivered_to=delivered_to,
        )


def resume_there(directory: Path, overrides: Sequence[str]) -> bool:
    """Go on with the run in `directory` on the cluster it was begun on; False to do so here.

    `overrides` change its layout, as a resume's do, and the launcher: hydra/launcher=local takes
    the run from the cluster.
    """
    run = RunDirectory(directory)
    opening = JobBook(run.slurm).opening or {"launcher": _HERE}
    launcher, layout = changed_launcher(opening["launcher"], overrides)
    if not is_of_cluster(launcher):
        if jobs_at_work(run.slurm):
            raise ConfigError(
                f"the job of {directory} waits or runs on the cluster: end it first: "
                f"python -m runner cancel {directory}"
            )
        return False
    command = ["python", "-m", "runner", "resume", str(directory), *overrides]
    with _held(run) as stop:
        config = _changed(run, launcher, layout)
        ClusterRun(
            directory=directory,
            config=config,
            launcher=launcher,
            overrides=layout,
            command=command,
        ).watch(stop)
    return True


def _changed(
    run: RunDirectory, launcher: Mapping[str, Any], layout: Sequence[str]
) -> dict[str, Any]:
    """Return the config of the run with `layout`, which the next job has; for who holds the run.

    ConfigError while a job with the old one is on the cluster.
    """
    book = JobBook(run.slurm)
    opening = book.opening or {}
    is_there = bool(jobs_at_work(run.slurm))
    if is_there and layout:
        raise ConfigError(
            f"{' '.join(layout)}: the job of {run.path} is on the cluster with its old config; "
            f"to change it: python -m runner cancel {run.path}, then resume"
        )
    before = read_config(run.config) if run.config.exists() else opening["config"]
    config = with_layout(before, layout)
    if layout:
        validate(from_frozen(config))
        _reopen(run, before, config)
    is_same = (launcher, config) == (opening.get("launcher"), opening.get("config"))
    if not is_same and not is_there:
        book.opened(launcher, config)
    return config


@contextmanager
def _held(directory: RunDirectory) -> Iterator[StopRequests]:
    """Let no other process submit or watch jobs of the run meanwhile; yield what asks to stop."""
    directory.slurm_folder.mkdir(parents=True, exist_ok=True)
    with StopRequests() as stop:
        lease = Lease(directory.slurm_lease, on_beat=lambda: None, stop=stop)
        lease.acquire()
        try:
            yield stop
        finally:
            lease.release()


def _reopen(run: RunDirectory, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Let a run that is done to a shorter end count as unfinished."""
    status = read_raw_status(run.status)
    has_new_end = any(before["trainer"].get(key) != now["trainer"].get(key) for key in LENGTHS)
    if status is not None and status.state == "completed" and has_new_end:
        write_status(run.status, replace(status, state="queued"))


@dataclass(frozen=True)
class _OnePlace:
    directory: RunDirectory

    def job(self, number: int) -> RunDirectory:  # noqa: ARG002
        return self.directory


class _Console(Watcher):
    """Tells where the job is and shows what it prints."""

    def __init__(self, directory: RunDirectory, stream: TextIO | None = None) -> None:
        self._directory = directory
        self._stream = stream or sys.stderr
        self._place: str | None = None
        self._shown = directory.console.stat().st_size if directory.console.exists() else 0
        self._end: tuple[Outcome, Status] | None = None

    def began(self, run: PlannedRun, status: Status | None) -> None:  # noqa: ARG002
        self._say(f"run {self._directory.path}")

    def again(self, run: PlannedRun, outcome: Outcome) -> None:  # noqa: ARG002
        self._say(f"{outcome}: it will go on")

    def ended(self, run: PlannedRun, outcome: Outcome, status: Status) -> None:  # noqa: ARG002
        self._follow()
        self._end = (outcome, status)

    def look(self, at_work: Sequence[JobAtWork], waiting: int) -> None:  # noqa: ARG002
        for job in at_work:
            where = job.whereabouts
            if where.is_waiting:
                place = f"waits: {waiting_in_words(where.text)}"
            elif where.text:
                place = f"on {where.text}"
            else:  # Slurm names no node, of a job that leaves
                continue
            if place != self._place:
                self._place = place
                self._say(f"the job {place}")
        self._follow()

    def stopping(self) -> None:
        self._say("cancelling: the job saves and leaves")

    def left(self, left: JobsLeft) -> None:
        """Say that the job lives on, and how to come back to it."""
        where = self._directory.path
        if ids := ids_in_words(JobBook(self._directory.slurm).last_ids.values()):
            self._say(f"{ids} is on the cluster; from any shell there:")
        for why in left.untaken.values():
            self._say(f"not submitted: {why}; to try again:")
        self._say(f"  python -m runner status {where}")
        self._say(f"  python -m runner resume {where}    # watch, or go on if it has ended")
        self._say(f"  python -m runner cancel {where}")

    def result(self) -> float | None:
        """Return the score of the run that has ended; RunError if it has not completed."""
        status = read_status(self._directory) or Status(state="queued")
        outcome = self._end[0] if self._end else Outcome.ERROR
        if outcome not in _GOOD:
            why = f": {status.error.splitlines()[0]}" if status.error else ""
            log = log_of(self._directory.path)
            more = f"; more in {log}" if log and status.state in ("failed", "lost") else ""
            raise RunError(f"the run {_VERBS.get(status.state, 'is ')}{status.state}{why}{more}")
        self._say(f"{outcome} score={short(status.score)}")
        return status.score

    def _follow(self) -> None:
        """Show what the job has printed since."""
        path = self._directory.console
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._shown)
            new = file.read()
        self._shown += len(new)
        self._stream.write(new.decode(errors="replace"))
        self._stream.flush()

    def _say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

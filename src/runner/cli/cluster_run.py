"""One run on a cluster, without -m: check it, submit it, watch it; come back to it later."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from hydra.utils import instantiate

from runner.cli.check import check_config
from runner.cli.sweeps.asking import asks_to_cancel
from runner.errors import Interrupted, RunError
from runner.job.ordered import OrderedJob
from runner.run.directory import RunDirectory
from runner.run.status import Status, read_status
from runner.runtime.signals import StopRequests
from runner.sweeps.drive import Drive, JobAtWork, JobsLeft, Watcher
from runner.sweeps.ledger import PlannedRun
from runner.sweeps.outcomes import Outcome
from runner.sweeps.pool import Home
from runner.sweeps.slurm.book import JobBook
from runner.sweeps.slurm.pool import jobs_at_work
from runner.sweeps.source import ListSource
from runner.training.callbacks.console_view import short

_GOOD = (Outcome.COMPLETED, Outcome.PRUNED)


@dataclass(frozen=True, kw_only=True)
class ClusterRun:
    """A run with its frozen config, and the node of the launcher that takes it to a cluster."""

    directory: Path
    config: Mapping[str, Any]
    launcher: Mapping[str, Any]
    overrides: Sequence[str] = ()
    command: Sequence[str] = ()

    def submit(self, choices: Mapping[str, str]) -> float | None:
        """Check and submit the run and watch it to its end; return its score, if that is known.

        Raises ConfigError before anything is submitted; RunError if the run fails; Interrupted if
        this process is asked to stop: the run stays on the cluster unless the user cancels it.
        """
        check_config(self.config, choices)
        RunDirectory(self.directory).path.mkdir(parents=True, exist_ok=True)
        JobBook(self._directory.slurm).opened(self.launcher, self.config)
        return self.go_on()

    def go_on(self) -> float | None:
        """Watch the job that is on the cluster, or submit one; see `submit`."""
        launcher: Any = instantiate(self.launcher)
        home = Home(
            name=str(self.config.get("name", "runner")),
            book=self._directory.slurm,
            folder=self._directory.slurm_folder,
        )
        run = PlannedRun(number=0, key="", overrides=(), config=self.config)
        console = _Console(self._directory)
        with StopRequests() as stop, closing(launcher.open_pool(preload=(), home=home)) as pool:
            drive = Drive(
                directory=_OnePlace(self._directory),
                source=ListSource([run], total=1),
                pool=pool,
                work_of=lambda _: self._job(),
                watcher=console,
                retries=launcher.retries,
                watches=launcher.watches,
                cancels=lambda: asks_to_cancel(sys.stderr),
            )
            try:
                drive.run(stop)
            except JobsLeft as left:
                console.left()
                if stop.received is not None:
                    raise Interrupted(stop.received) from left
                return None
        return console.result()

    @property
    def _directory(self) -> RunDirectory:
        return RunDirectory(self.directory)

    def _job(self) -> OrderedJob:
        return OrderedJob(
            config=self.config,
            path=self.directory.absolute(),
            overrides=tuple(self.overrides),
            command=tuple(self.command),
        )


def is_on_cluster(directory: Path) -> bool:
    """Return whether a job of the run waits or runs on a cluster."""
    book = RunDirectory(directory).slurm
    return book.exists() and bool(jobs_at_work(book))


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
            place = f"waits: {where.text}" if where.is_waiting else f"on {where.text}"
            if place != self._place:
                self._place = place
                self._say(f"the job {place}")
        self._follow()

    def stopping(self) -> None:
        self._say("cancelling: the job saves and leaves")

    def left(self) -> None:
        """Say that the job lives on, and how to come back to it."""
        where = self._directory.path
        ids = ", ".join(JobBook(self._directory.slurm).last_ids.values())
        self._say(f"job {ids} is on the cluster; from any shell there:")
        self._say(f"  python -m runner status {where}")
        self._say(f"  python -m runner resume {where}    # watch, or go on if it has ended")
        self._say(f"  python -m runner cancel {where}")

    def result(self) -> float | None:
        """Return the score of the run that has ended; RunError if it has not completed."""
        status = read_status(self._directory) or Status(state="queued")
        outcome = self._end[0] if self._end else Outcome.ERROR
        if outcome not in _GOOD:
            why = f": {status.error.splitlines()[0]}" if status.error else ""
            raise RunError(f"the run {status.state}{why}; more in {self._directory.logs}")
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

"""What one run on a cluster says on the console while it is watched."""

import sys
from collections.abc import Sequence
from typing import TextIO

from runner.cli.sweeps.console import waiting_in_words
from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.status import Status, read_status
from runner.sweeps.ledger import PlannedRun
from runner.sweeps.outcomes import Outcome
from runner.sweeps.slurm.book import JobBook, ids_in_words
from runner.sweeps.summary import log_of
from runner.sweeps.watcher import JobAtWork, JobsLeft, Watcher
from runner.training.callbacks.console_view import short

_GOOD = (Outcome.COMPLETED, Outcome.PRUNED)
_VERBS = {"failed": "", "cancelled": "was ", "preempted": "was "}


class RunConsole(Watcher):
    """Tells where the job of a run is and shows what it prints."""

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

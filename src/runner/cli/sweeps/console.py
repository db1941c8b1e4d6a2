"""What a sweep says on the console: a preview, what happens, and how it ended.

On a terminal the jobs at work are shown in a table that changes; elsewhere there are lines alone.
"""

import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from runner.cli.columns import table
from runner.cli.sweeps.asking import asks_to_cancel
from runner.run.status import Status
from runner.sweeps.decisions import Action
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import Combination, PlannedRun
from runner.sweeps.outcomes import Outcome
from runner.sweeps.slurm.book import JobBook, ids_in_words
from runner.sweeps.slurm.reasons import text_of
from runner.sweeps.summary import RunRow, run_row
from runner.sweeps.watcher import JobAtWork, JobsLeft, Watcher
from runner.training.callbacks.console_view import duration, short

MOST_SHOWN = 20
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_LINES = 600.0  # of how many jobs wait, without a terminal

_WORDS = {
    Action.RUN: "new",
    Action.RESUME: "unfinished, to be resumed",
    Action.RETRY: "failed, to be tried again",
    Action.WAIT: "at work in another process, to be waited for",
    Action.WATCH: "on the cluster, to be watched",
    Action.SKIP: "done, to be skipped",
}
_GOOD = (Outcome.COMPLETED, Outcome.PRUNED)


class SweepConsole(Watcher):
    """Shows one start of a sweep; enter it while jobs are at work."""

    def __init__(
        self,
        directory: SweepDirectory,
        stream: TextIO | None = None,
        *,
        is_of_cluster: bool = False,
    ) -> None:
        self._directory = directory
        self._is_of_cluster = is_of_cluster  # where jobs may wait
        self._stream = stream or sys.stderr
        self._live: Live | None = None
        self._total: int | None = None
        self._done = 0
        self._failed = 0
        self._ended_here = 0
        self._began = self._last_end = time.monotonic()
        self._next_look = 0.0
        self._next_standing = 0.0
        self._reasons: set[str] = set()  # for which jobs wait, as far as said

    def __enter__(self) -> "SweepConsole":
        self._began = time.monotonic()
        if self._stream.isatty():
            console = Console(file=self._stream, highlight=False)
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def preview(self, runs: Sequence[Combination], actions: Mapping[str, Action]) -> None:
        """Show what will be done with each of `runs`; a search has none before it begins."""
        if not runs:
            self.say(f"search {self._directory.path}")
            return
        counts = Counter(actions[run.key] for run in runs)
        self._total, self._done = len(runs), counts[Action.SKIP]
        kinds = ", ".join(f"{counts[kind]} {word}" for kind, word in _WORDS.items() if counts[kind])
        self.say(f"sweep {self._directory.path}: {_count(len(runs))}: {kinds}")
        starting = [run for run in runs if actions[run.key].starts]
        for run in starting[:MOST_SHOWN]:
            self.say(f"  {actions[run.key].value:6}  {' '.join(run.overrides)}".rstrip())
        if len(starting) > MOST_SHOWN:
            self.say(f"  ... and {len(starting) - MOST_SHOWN} more")

    def expect(self, total: int | None, *, done: int) -> None:
        """Count on so many runs, of which some are done."""
        self._total, self._done = total, done

    def say(self, line: str) -> None:
        """Write a line, above the table if there is one."""
        if self._live is not None:
            self._live.console.print(Text(line))
        else:
            print(line, file=self._stream, flush=True)

    def began(self, run: PlannedRun, status: Status | None) -> None:
        """Say that a job was started, or sent to where it may wait."""
        if self._live is None:  # else the table shows it
            at = f" at step {status.step}" if status is not None and status.step else ""
            is_at_work = status is not None and status.state == "running"
            there = "at work" if is_at_work else "queued"
            word = there if self._is_of_cluster else "began"
            self.say(f"run {run.number} {word}{at}: {run.label}")

    def again(self, run: PlannedRun, outcome: Outcome) -> None:
        """Say that a job ended before its run did."""
        self.say(f"run {run.number} {outcome}: it will go on: {run.label}")

    def ended(self, run: PlannedRun, outcome: Outcome, status: Status) -> None:
        """Say how a run ended."""
        if outcome is Outcome.STOPPED:
            self.say(f"run {run.number} stopped at step {status.step}: {run.label}")
            return
        self._ended_here += 1
        self._last_end = time.monotonic()
        self._done += 1
        self._failed += outcome not in _GOOD
        score = "" if status.score is None else f" score={short(status.score)}"
        why = "" if outcome in _GOOD else _reason(status)
        of = "" if self._total is None else f"/{self._total}"
        self.say(f"[{self._done}{of}] run {run.number} {outcome}{score}{why}: {run.label}")

    def look(self, at_work: Sequence[JobAtWork], waiting: int) -> None:
        """Show the jobs at work, once a second; without a terminal how many wait, and why."""
        now = time.monotonic()
        if now < self._next_look:
            return
        if self._live is None:
            self._next_look = now + SECONDS_BETWEEN_LOOKS
            self._say_what_waits(at_work, waiting)
            return
        self._next_look = now + SECONDS_BETWEEN_LOOKS
        running = [job for job in at_work if not job.whereabouts.is_waiting]
        rows = [(self._row(job.run), job.whereabouts.text) for job in running[:MOST_SHOWN]]
        lines = [
            *_lines(rows, shutil.get_terminal_size().columns),
            *([f"... and {len(running) - MOST_SHOWN} more"] if len(running) > MOST_SHOWN else []),
            self._standing(at_work, waiting),
        ]
        self._live.update(Text("\n".join(lines), no_wrap=True), refresh=True)

    def _row(self, run: PlannedRun) -> RunRow:
        return run_row(
            self._directory.job(run.number),
            number=run.number,
            overrides=run.overrides,
            config=run.config,
        )

    def stopping(self) -> None:
        """Say that it takes a moment."""
        self.say("stopping: the jobs save and leave")

    def stopped(self) -> None:
        """Say how to go on."""
        where = self._directory.path
        self.say(f"stopped; to go on, the same command or: python -m runner resume {where}")

    def left(self, left: JobsLeft) -> None:
        """Say that jobs live on, and how to come back to them."""
        where = self._directory.path
        if ids := ids_in_words(JobBook(self._directory.slurm).last_ids.values()):
            self.say(f"{_count(len(left.numbers))} of {where} on the cluster ({ids})")
        for why, count in Counter(left.untaken.values()).items():
            self.say(f"{_count(count)} not submitted ({why}); the same command or resume does it")
        self.say("from any shell there:")
        self.say(f"  python -m runner status {where}")
        self.say(f"  python -m runner resume {where}    # watch, and start again what is missing")
        self.say(f"  python -m runner cancel {where}")

    def remind(self) -> None:
        """Say, when something else has failed, that jobs live on."""
        if ids := ids_in_words(JobBook(self._directory.slurm).last_ids.values()):
            verb = "are" if ids.startswith("jobs") else "is"
            self.say(f"on the cluster there {verb} still {ids} of {self._directory.path}")

    def asks_to_cancel(self, received: signal.Signals | None) -> bool:
        """Ask whether to cancel the jobs that live on, after Ctrl-C; else they are left."""
        if self._live is not None:
            self._live.stop()
        try:
            return asks_to_cancel(self._stream, received)
        finally:
            if self._live is not None:
                self._live.start()

    def _say_what_waits(self, at_work: Sequence[JobAtWork], waiting: int) -> None:
        """Say that jobs are queued when the reasons are others than last said, and now and then."""
        reasons = set(_reasons(at_work))
        is_due = time.monotonic() > self._next_standing
        if not reasons or not (is_due or reasons - self._reasons):
            return
        self._reasons |= reasons
        self._next_standing = time.monotonic() + SECONDS_BETWEEN_LINES
        self.say(self._standing(at_work, waiting))

    def _standing(self, at_work: Sequence[JobAtWork], waiting: int) -> str:
        queued = Counter(_reasons(at_work))
        num_at_work = len(at_work) - queued.total()
        facts = [f"{self._done}{'' if self._total is None else f' of {self._total}'} done"]
        facts += [f"{self._failed} failed"] if self._failed else []
        facts += [f"{num_at_work} at work"]
        facts += [f"{count} queued ({reason})" for reason, count in queued.items()]
        facts += [f"{waiting} to be tried again"] if waiting else []
        if self._total is not None and self._ended_here:
            seconds = (self._last_end - self._began) / self._ended_here
            passed = time.monotonic() - self._last_end  # it counts down until the next one ends
            left = max(0.0, seconds * (self._total - self._done) - passed)
            facts += [f"about {duration(left)} left"]
        return " · ".join(facts)


def waiting_in_words(reason: str) -> str:
    """Return Slurm's word for why a job waits; where it is a sentence, or none, what it means."""
    if reason == "pending":  # its state alone
        return "no reason given yet"
    word = reason.partition(",")[0]
    return (text_of(reason) if " " in word else word) or reason


def _reasons(at_work: Sequence[JobAtWork]) -> list[str]:
    places = (job.whereabouts for job in at_work)
    return [waiting_in_words(place.text) for place in places if place.is_waiting]


def _lines(rows: Sequence[tuple[RunRow, str]], width: int) -> list[str]:
    """Return the table of the jobs at work, each with where it is, if that is to be told."""
    header = ["run", "state", "where", "step", "score", "left", "overrides"]
    cells = [
        [
            str(row.number),
            row.state,
            where,
            f"{row.step}{'' if row.planned_steps is None else f'/{row.planned_steps}'}",
            short(row.score),
            duration(row.seconds_left),
            row.label,
        ]
        for row, where in rows
    ]
    if not any(where for _, where in rows):
        header, *cells = [[*line[:2], *line[3:]] for line in (header, *cells)]
    return table(header, cells, left=("state", "where", "overrides"), width=width)


def _reason(status: Status) -> str:
    return f": {status.error.splitlines()[0]}" if status.error else ""


def _count(number: int) -> str:
    return f"{number} run" if number == 1 else f"{number} runs"

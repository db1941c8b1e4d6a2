"""What became of the runs of a sweep: one row a run, read from the run's own files.

A reader starts hundreds of times while a sweep runs, and from any machine that sees the folder: so
nothing heavy is imported here, nothing is locked, and nobody's heartbeat is waited for.
"""

import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.latest import latest_status
from runner.run.lease import is_held
from runner.run.status import Status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import read_ledger
from runner.sweeps.pace import pace_of
from runner.sweeps.record import SweepRecord, read_record

# In the order in which they are counted: what is over, what needs care, what is to come.
_ORDER = (
    "completed",
    "pruned",
    "failed",
    "cancelled",
    "lost",
    "preempted",
    "running",
    "queued",
)
SILENT_SECONDS = 60.0  # a running job writes its status every few seconds


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run as it stands; None is not known."""

    number: int
    overrides: Mapping[str, str]  # what tells it from the others: {"optimizer.lr": "0.001"}
    label: str  # the same as a user types it: "optimizer.lr=0.001 seed=2"
    state: str
    step: int
    planned_steps: int | None
    score: float | None
    best_step: int | None
    jobs: int
    error: str | None
    age_seconds: float | None  # since its status was written last
    seconds_left: float | None
    path: Path = field(repr=False)
    job: str | None = None  # its job on a cluster, as long as that is not known to have ended
    where: str = ""  # where that job is: "node1", "pending: Priority"
    why: str = ""  # the same in a sentence that says what to do
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)  # as far as it was read

    @property
    def has_score(self) -> bool:
        return self.score is not None and math.isfinite(self.score)

    @property
    def is_silent(self) -> bool:
        """Whether it says that it runs, and has given no sign of life for too long."""
        return self.state == "running" and (self.age_seconds or 0.0) > SILENT_SECONDS


@dataclass(frozen=True, kw_only=True)
class SweepSummary:
    """A sweep as it stands; rows are in the order of their numbers."""

    directory: SweepDirectory
    record: SweepRecord
    rows: Sequence[RunRow]
    is_running: bool  # somebody holds the sweep

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are in which state, in the order in which states are told."""
        return counts_of(self.rows)

    @property
    def num_to_come(self) -> int:
        """How many runs a search has not proposed yet."""
        return max(0, (self.record.total or 0) - len(self.rows))

    @property
    def best(self) -> RunRow | None:
        """The best completed run; without one the best of what there is."""
        return best_of(self.rows, mode=self.record.best_mode)


def summarize(directory: SweepDirectory) -> SweepSummary:
    """Read a sweep; RunError for what is none."""
    record = read_record(directory)
    now = time.time()
    rows = [
        run_row(
            directory.job(run.number),
            number=run.number,
            overrides=run.overrides,
            config=run.config,
            now=now,
        )
        for run in read_ledger(directory.ledger)
    ]
    return SweepSummary(
        directory=directory, record=record, rows=rows, is_running=is_held(directory.lease)
    )


def run_row(
    directory: RunDirectory,
    *,
    number: int = 0,
    overrides: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    now: float | None = None,
) -> RunRow:
    """Return how the run in `directory` stands; `queued` if nothing is there yet.

    A status that cannot be read makes a `lost` run that says so: it hides no other run.
    """
    age: float | None = None
    try:
        status = latest_status(directory) or Status(state="queued")
        if status.jobs:
            age = max(0.0, (now or time.time()) - _changed(directory.status))
    except (RunError, OSError, ValueError) as error:
        status = Status(state="lost", error=str(error))
    is_running = status.state == "running"
    trainer = (config or {}).get("trainer")
    trainer = trainer if isinstance(trainer, Mapping) else {}
    pace = pace_of(directory.journal, trainer, step=status.step, watch=is_running)
    return RunRow(
        number=number,
        overrides=dict(_pair(override) for override in overrides),
        label=" ".join(overrides),
        state=status.state,
        step=status.step,
        planned_steps=pace.planned_steps,
        score=status.score,
        best_step=status.best_step,
        jobs=status.jobs,
        error=status.error,
        age_seconds=age,
        seconds_left=pace.seconds_left,
        path=directory.path,
        config=config or {},
    )


def counts_of(rows: Iterable[RunRow]) -> dict[str, int]:
    """Return how many runs are in which state, what is over first."""
    found = Counter(row.state for row in rows)
    return {state: found[state] for state in _ORDER if found[state]}


def ranked(rows: Iterable[RunRow], *, mode: str) -> list[RunRow]:
    """Return the runs with a score, best first (`mode` min or max); of equal ones the first."""
    sign = {"min": 1.0, "max": -1.0}.get(mode, 0.0)  # 0: judged by several metrics, by number
    scored = [row for row in rows if row.has_score]
    return sorted(scored, key=lambda row: (sign * (row.score or 0.0), row.number))


def best_of(rows: Sequence[RunRow], *, mode: str) -> RunRow | None:
    """Return the best completed run; without one the best of what there is, or None."""
    if not mode:
        return None
    completed = [row for row in rows if row.state == "completed"]
    return next(iter(ranked(completed, mode=mode) or ranked(rows, mode=mode)), None)


def log_of(path: Path) -> Path | None:
    """Return the file with the last words of the run in `path`, if there is one."""
    directory = RunDirectory(path)
    # What a pool caught of its job tells also of deaths that Python does not see.
    logs = (directory.console, directory.log_of_rank(0))
    return next((log for log in logs if log.is_file() and log.stat().st_size), None)


def _changed(path: Path) -> float:
    return os.stat(path).st_mtime  # noqa: PTH116 - a third of the time of Path.stat


def _pair(override: str) -> tuple[str, str]:
    key, _, value = override.lstrip("+").partition("=")
    return key, value

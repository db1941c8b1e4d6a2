"""Where a run stood when it was lost: its status is written every few seconds, its rows at once."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.errors import RunError
from runner.run.config_values import ConfigValues
from runner.run.directory import RunDirectory
from runner.run.journal import Row, read_journal, rows_since
from runner.run.status import Status, read_status


def latest_status(directory: RunDirectory) -> Status | None:
    """Return the status, that of a lost run brought up to its last row and checkpoint.

    A status that says `running` is a few seconds old at most, and of a run that was resumed the
    journal may be ahead of it: it is returned as it is.
    """
    status = read_status(directory)
    if status is None or status.state != "lost":
        return status
    rows = rows_since(directory.journal, status.step)
    steps = [row.step for row in rows] + _checkpoints(directory)
    status = replace(status, step=max([status.step, *steps]))
    judge = _Judge.of(directory)
    for step, value in judge.scores(rows):
        status = judge.taken(status, step, value)
    return status


def best_of(directory: RunDirectory, steps: Iterable[int]) -> int | None:
    """Return which of `steps` was judged best, by the journal.

    None if none of them was, or the best were not to be kept.
    """
    if _section(directory, "checkpoint").get("keep_best") == 0:
        return None
    judge, wanted = _Judge.of(directory), set(steps)
    best = Status(state="lost")
    for step, value in judge.scores(read_journal(directory.journal)):
        if step in wanted:
            best = judge.taken(best, step, value)
    return best.best_step


@dataclass(frozen=True)
class _Judge:
    """How a run is judged, by its config: as runner.training.best does it."""

    split: str
    metric: str
    sign: float
    min_improvement: float

    @classmethod
    def of(cls, directory: RunDirectory) -> "_Judge":
        trainer = _section(directory, "trainer")
        split, _, metric = str(trainer.get("best_metric") or "evaluation.loss").partition(".")
        improvement = trainer.get("min_improvement")
        return cls(
            split,
            metric,
            -1.0 if trainer.get("best_mode") == "max" else 1.0,
            float(improvement) if isinstance(improvement, int | float) else 0.0,
        )

    def scores(self, rows: Iterable[Row]) -> list[tuple[int, float]]:
        return [
            (row.step, row.values[self.metric])
            for row in rows
            if row.split == self.split and self.metric in row.values
        ]

    def taken(self, status: Status, step: int, value: float) -> Status:
        """Return the status with this score, if it is better by as much as counts."""
        if math.isnan(value):
            return status
        gain = math.inf if status.score is None else self.sign * (status.score - value)
        better = gain > self.min_improvement
        return replace(status, score=value, best_step=step) if better else status


def _section(directory: RunDirectory, name: str) -> Mapping[str, Any]:
    try:
        return ConfigValues(directory.config).section(name)
    except (RunError, OSError, ValueError):  # a damaged config: its run is told nevertheless
        return {}


def _checkpoints(directory: RunDirectory) -> list[int]:
    found = directory.checkpoints.glob("step_*/manifest.json")
    numbers = (manifest.parent.name.removeprefix("step_") for manifest in found)
    return [int(number) for number in numbers if number.isdecimal()]

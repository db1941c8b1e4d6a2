"""How far a run has to go and how long that takes, from its config and the end of its journal."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from runner.run.journal import Row, row_in

_TAIL_BYTES = 16_384  # some dozens of rows; a journal may have a million


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What is known of the rest of a run; None is not known."""

    planned_steps: int | None = None
    seconds_left: float | None = None


def pace_of(journal: Path, trainer: Mapping[str, Any], *, step: int, watch: bool) -> Pace:
    """Return the pace of a run with this `trainer` node; its journal is read only to `watch` it."""
    max_steps = _count(trainer, "max_steps")
    if not watch:
        return Pace(planned_steps=max_steps)
    rows = _tail_rows(journal)
    per_epoch = [row.step / row.epoch for row in rows if row.epoch > 0]
    max_epochs = _count(trainer, "max_epochs")
    by_epochs = round(max_epochs * per_epoch[-1]) if max_epochs and per_epoch else None
    limits = [limit for limit in (max_steps, by_epochs) if limit is not None]
    planned = min(limits, default=None)
    seconds = _seconds_per_step(rows)
    left = None if planned is None or seconds is None else max(0, planned - step) * seconds
    return Pace(planned_steps=planned, seconds_left=left)


def last_row(journal: Path) -> Row | None:
    """Return the last row of a journal; None without one."""
    rows = (row_in(line) for line in reversed(_tail(journal)))
    return next((row for row in rows if row is not None), None)


def _tail_rows(journal: Path) -> list[Row]:
    """Return the last rows of a journal; none if one of them is damaged."""
    rows = [row_in(line) for line in _tail(journal)]
    whole = [row for row in rows if row is not None]
    return whole if len(whole) == len(rows) else []


def _tail(journal: Path) -> list[bytes]:
    """Return the last whole lines of a journal; none without one."""
    try:
        with journal.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        return []
    return lines[size > _TAIL_BYTES : -1]  # the first may be cut, the last has no end yet


def _seconds_per_step(rows: Sequence[Row]) -> float | None:
    """Return what a step takes; the median, so that a pause between two jobs does not count."""
    distinct = {row.step: row.time for row in rows}
    steps = sorted(distinct)
    paces = [(distinct[later] - distinct[step]) / (later - step) for step, later in pairwise(steps)]
    return sorted(paces)[len(paces) // 2] if paces else None


def _count(trainer: Mapping[str, Any], key: str) -> int | None:
    value = trainer.get(key)
    return value if isinstance(value, int) else None  # not an open interpolation

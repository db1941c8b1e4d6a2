"""Sinks and runs that the tests of followers share."""

from collections.abc import Mapping, Sequence
from typing import Any

from runner.run.journal import Row
from runner.trackers.tracker import TrackedRun


class Shelf:
    """A sink in memory that outlives the jobs of a run, and fails when told to."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.ends: list[str] = []
        self.states: list[Mapping[str, Any] | None] = []
        self.fails = False
        self.continues = False

    def open(self, run: TrackedRun, state: Mapping[str, Any] | None) -> "Shelf":
        self.states.append(state)
        self.continues = state is not None
        if state is None:
            self.rows = []
        return self

    def write(self, rows: Sequence[Row]) -> None:
        if self.fails:
            raise OSError("the shelf is full")
        self.rows += [row.step for row in rows]

    def state_dict(self) -> dict[str, Any]:
        return {"rows": len(self.rows)}

    def close(self, state: str) -> None:
        self.ends.append(state)

"""Where the runs of a sweep come from: a list, or a search that proposes one after the other."""

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from runner.run.status import Status
from runner.sweeps.ledger import PlannedRun
from runner.sweeps.search.pruning import Pruning


class Source(Protocol):
    """Gives out runs as there is room for them, and hears what became of them."""

    def take(self) -> PlannedRun | None:
        """Return the next run to do; None when there is none now (or none any more)."""
        ...

    @property
    def is_exhausted(self) -> bool:
        """Return whether `take` will never give a run again, whatever still ends."""
        ...

    @property
    def total(self) -> int | None:
        """Return how many runs the sweep has in all, also done ones; None if not known."""
        ...

    def pruning_of(self, run: PlannedRun) -> Pruning | None:
        """Return what the job of `run` needs to end it early; None: it trains to its end."""
        ...

    def ended(self, run: PlannedRun, status: Status) -> None:
        """Hear the last word on a run: it will not be tried again in this start of the sweep."""
        ...


class ListSource:
    """Gives out runs that are known from the beginning, in their order."""

    def __init__(self, runs: Iterable[PlannedRun], *, total: int) -> None:
        self._waiting = deque(runs)
        self.total: int | None = total

    @property
    def is_exhausted(self) -> bool:
        return not self._waiting

    def take(self) -> PlannedRun | None:
        return self._waiting.popleft() if self._waiting else None

    def pruning_of(self, run: PlannedRun) -> Pruning | None:  # noqa: ARG002
        return None

    def ended(self, run: PlannedRun, status: Status) -> None: ...

"""Who hears what happens in a sweep while its jobs are at work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.run.status import Status
from runner.sweeps.ledger import PlannedRun
from runner.sweeps.outcomes import Outcome
from runner.sweeps.pool import Whereabouts


@dataclass(frozen=True, kw_only=True)
class JobAtWork:
    """A job that was started and has not ended."""

    run: PlannedRun
    whereabouts: Whereabouts


class Watcher:
    """Hears what happens in a sweep and does nothing; subclasses override what they need."""

    def began(self, run: PlannedRun, status: Status | None) -> None:
        """A job was started for `run`; `status` is where the run stood."""

    def again(self, run: PlannedRun, outcome: Outcome) -> None:
        """The job of `run` ended, and another one will be started."""

    def ended(self, run: PlannedRun, outcome: Outcome, status: Status) -> None:
        """The last word on `run` in this start of the sweep."""

    def stopping(self) -> None:
        """Every job was asked to save and leave."""

    def look(self, at_work: Sequence[JobAtWork], waiting: int) -> None:
        """Called a few times a second; `waiting` runs are to be tried again."""


class JobsLeft(Exception):  # noqa: N818 - no error: all is well with them
    """The jobs of a sweep live on, and nobody watches them any more; `numbers` are their runs.

    `untaken` says why the cluster has not taken others, by run.
    """

    def __init__(self, numbers: Sequence[int], untaken: Mapping[int, str]) -> None:
        super().__init__(f"{len(numbers)} jobs live on")
        self.numbers = tuple(numbers)
        self.untaken = dict(untaken)

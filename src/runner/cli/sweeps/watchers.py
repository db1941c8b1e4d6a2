"""Who hears what happens in a sweep, besides the console."""

import logging
from collections.abc import Sequence

from runner.checkpoint.strip import strip
from runner.run.status import Status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import PlannedRun
from runner.sweeps.outcomes import Outcome
from runner.sweeps.retention import strip_runs
from runner.sweeps.watcher import JobAtWork, Watcher

_log = logging.getLogger(__name__)


class Together(Watcher):
    """Several watchers as one, told in their order."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = list(watchers)

    def began(self, run: PlannedRun, status: Status | None) -> None:
        for watcher in self._watchers:
            watcher.began(run, status)

    def again(self, run: PlannedRun, outcome: Outcome) -> None:
        for watcher in self._watchers:
            watcher.again(run, outcome)

    def ended(self, run: PlannedRun, outcome: Outcome, status: Status) -> None:
        for watcher in self._watchers:
            watcher.ended(run, outcome, status)

    def stopping(self) -> None:
        for watcher in self._watchers:
            watcher.stopping()

    def look(self, at_work: Sequence[JobAtWork], waiting: int) -> None:
        for watcher in self._watchers:
            watcher.look(at_work, waiting)


class Retention(Watcher):
    """Lets only the best `keep_best` runs keep their checkpoints."""

    def __init__(self, directory: SweepDirectory, keep_best: int) -> None:
        self._directory = directory
        self._keep_best = keep_best

    def ended(
        self,
        run: PlannedRun,  # noqa: ARG002
        outcome: Outcome,
        status: Status,  # noqa: ARG002
    ) -> None:
        """Strip what has fallen out of the best; what cannot be deleted must not end the sweep."""
        if outcome not in (Outcome.COMPLETED, Outcome.PRUNED):
            return
        try:
            strip_runs(self._directory, keep_best=self._keep_best, strip=strip)
        except OSError as error:
            _log.warning("checkpoints could not be deleted: %s", error)

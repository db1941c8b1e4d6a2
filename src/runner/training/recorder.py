"""Write what training reports to the journal, and tell the callbacks."""

import time
from collections.abc import Callable

from runner.run.journal import Journal, Row
from runner.training.progress import Progress


class Recorder:
    """Gives rows of the journal their step, epoch and time."""

    def __init__(self, journal: Journal, progress: Progress, on_row: Callable[[Row], None]) -> None:
        self._journal = journal
        self._progress = progress
        self._on_row = on_row

    def record(self, split: str, values: dict[str, float]) -> None:
        """Append one row; a row that an earlier job wrote stands."""
        row = Row(
            step=self._progress.step,
            epoch=self._progress.fractional_epoch,
            time=round(time.time(), 3),
            split=split,
            values=values,
        )
        self._journal.append(row)
        self._on_row(row)

    def sync(self) -> None:
        """Make all rows survive a power loss."""
        self._journal.sync()

"""Write what training reports to the journal, and tell the callbacks."""

import time
from collections.abc import Callable, Mapping

from runner.run.journal import Journal, Row
from runner.training.progress import Progress

_OWN_SPLITS = ("train", "evaluation", "test", "speed")


class Recorder:
    """Gives rows of the journal their step, epoch and time."""

    def __init__(self, journal: Journal, progress: Progress, on_row: Callable[[Row], None]) -> None:
        self._journal = journal
        self._progress = progress
        self._on_row = on_row

    @property
    def has_rows(self) -> bool:
        """Return whether the journal has rows, of this job or an earlier one."""
        return self._journal.has_rows

    def record(self, rows: dict[str, dict[str, float]]) -> None:
        """Append the values of each split; a row that an earlier job wrote stands.

        All are in the journal before the first callback hears of one, and may fail.
        """
        written = [self._row(split, values) for split, values in rows.items()]
        for row in written:
            self._journal.append(row)
        for row in written:
            self._on_row(row)

    def record_watched(self, split: str, values: Mapping[str, float]) -> None:
        """Append a row of a callback's own `split`, at the step that training has reached.

        What an earlier job wrote up to a step stands, also where its rows had other steps: values
        of a machine come at other steps when these run again.
        """
        if split in _OWN_SPLITS:
            raise ValueError(f"rows of {split!r} are training's own: give them another split")
        if self._progress.step > self._journal.last_step(split):
            self.record({split: {name: float(value) for name, value in values.items()}})

    def sync(self) -> None:
        """Make all rows survive a power loss; OSError when the disk does not take them."""
        self._journal.sync()

    def _row(self, split: str, values: dict[str, float]) -> Row:
        return Row(
            step=self._progress.step,
            epoch=self._progress.fractional_epoch,
            time=round(time.time(), 3),
            split=split,
            values=values,
        )

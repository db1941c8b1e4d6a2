"""`TrainingData`: the micro-batches of training, epoch after epoch, from where a run stands."""

from typing import Any

from runner.data.epoch import Epoch, MicroBatch
from runner.data.loader import Loader
from runner.protocols import check_state_keys
from runner.training.progress import Progress


class TrainingData:
    """Takes micro-batches from the epoch that `progress` is in.

    Its state is that of data that have one of their own: as it is, or for those that are read ahead
    as it was at the last `mark`, after a whole step. Of other data, `progress` says it all.
    """

    def __init__(self, loader: Loader, progress: Progress) -> None:
        self._loader = loader
        self._progress = progress
        self._epoch: Epoch | None = None
        self._marked: dict[str, Any] = {}

    def take(self, count: int) -> list[MicroBatch]:
        """Return the micro-batches of the next step, `count` or what is left of the epoch."""
        if self._epoch is None or self._epoch.is_over:
            self._epoch = self._next_epoch()
        taken = self._epoch.take(count)
        if not taken:  # a stream that was left at its very end, before that was known
            self._progress.end_epoch()
            self._marked = {}
            self._epoch = self._next_epoch()
            taken = self._epoch.take(count)
        return taken

    @property
    def is_epoch_over(self) -> bool:
        """Return whether the micro-batches taken last were the last of their epoch."""
        return self._epoch is not None and self._epoch.is_over

    def mark(self) -> None:
        """Remember that the step on what was taken last is whole."""
        if self._loader.reads_ahead and self._epoch is not None:
            self._marked = self._epoch.state_dict()

    def state_dict(self) -> dict[str, Any]:
        if self._epoch is not None and not self._loader.reads_ahead:
            return {"stream": self._epoch.state_dict()}
        return {"stream": self._marked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_state_keys("the data position", state, ("stream",))
        self._epoch, self._marked = None, state["stream"]

    def merge_states(self, states: list[dict[str, Any]]) -> None:
        """Go on with another number of ranks: such data stand at the same place on all."""
        self.load_state_dict(states[0])

    def _next_epoch(self) -> Epoch:
        number, lengths = self._progress.epoch, self._loader.lengths
        epoch = self._loader.epoch(number, start=self._progress.batch, state=self._marked or None)
        self._progress.batches_per_epoch = None if lengths is None else lengths.of(number)
        if not self._loader.reads_ahead:
            self._marked = {}
        return epoch

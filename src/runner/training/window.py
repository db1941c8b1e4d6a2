"""The rows of training: what the steps since the last one had in common, and how fast they went."""

from collections.abc import Mapping

from torch.optim import Optimizer

from runner.training.averages import Averages
from runner.training.learning_rates import learning_rates
from runner.training.progress import Progress
from runner.training.recorder import Recorder
from runner.training.speed import Speedometer

Rows = dict[str, dict[str, float]]  # by split


class Window:
    """Turns averages and speed into rows of the journal, every so many steps."""

    def __init__(
        self,
        averages: Averages,
        speed: Speedometer,
        optimizers: Mapping[str, Optimizer],
        recorder: Recorder,
        *,
        every_steps: int,
    ) -> None:
        self._averages = averages
        self._speed = speed
        self._optimizers = optimizers
        self._recorder = recorder
        self._every_steps = every_steps

    def means(self, progress: Progress) -> dict[str, float]:
        """Return the means of a step whose row is due, waiting for the device; else nothing."""
        every = self._every_steps
        return self._averages.means() if every > 0 and progress.step % every == 0 else {}

    def close(self, means: dict[str, float]) -> Rows:
        """Begin a new window and return the rows of the old one."""
        self._averages.reset()
        return self._rows(means)

    def record_rest(self) -> None:
        """Record the steps since the last row, which count again if the run is trained longer."""
        if self._every_steps and (means := self._averages.means()):
            self._recorder.record(self._rows(means))

    def _rows(self, means: dict[str, float]) -> Rows:
        rates: dict[str, float] = {}
        for name, optimizer in self._optimizers.items():
            rates |= learning_rates(optimizer, of=name)
        return {"speed": self._speed.take(), "train": {**means, **rates}}

"""From what a loader gives to a batch on the device, augmented."""

from runner.data.data import Batch
from runner.data.draws import Draws
from runner.data.epoch import MicroBatch
from runner.runtime.device import move
from runner.runtime.seeds import seeded_generator
from runner.training.parts import Parts

_AUGMENTATION = 0x617567  # keeps its random numbers apart from those of the samples


class Preparation:
    """Callable: the batch of a micro-batch, the `position`-th of `step`, which seed its draws."""

    def __init__(self, parts: Parts) -> None:
        self._task = parts.task
        self._device = parts.device
        self._augment = parts.augment
        self._seed = parts.options.seed

    def __call__(self, micro: MicroBatch, *, step: int, position: int) -> Batch:
        batch = move(self._task.prepare(micro.content), self._device)
        if self._augment is None:
            return batch
        generator = seeded_generator(_AUGMENTATION, self._seed, step, position)
        return self._augment(batch, Draws(generator, size=micro.size, part=micro.part))

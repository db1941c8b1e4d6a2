"""The parts of a trainer with batches of another size, made in another process."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from runner.build.assemble import assemble
from runner.config.options import Options
from runner.data.data import Data
from runner.job.place import take_place
from runner.runtime.seeds import seed_everything
from runner.tasks.task import Task
from runner.training.parts import Parts
from runner.tuning.sized import sized


@dataclass(frozen=True, kw_only=True)
class SizedParts:
    """Callable: the parts of a training with so many samples in a batch."""

    model: nn.Module
    task: Task
    data: Data
    optimizer: Any
    options: Options

    def __call__(self, size: int) -> Parts:
        options = sized(self.options, size)
        seed_everything(options.seed)
        return assemble(
            model=self.model,
            task=self.task,
            data=self.data,
            optimizer=self.optimizer,
            scheduler=None,
            callbacks={},
            options=options,
            device=take_place(options).device,
        )

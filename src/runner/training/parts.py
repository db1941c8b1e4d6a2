"""`Parts`: everything a training consists of, complete and on its device."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from runner.config.options import Options
from runner.data.data import BatchAugmentation
from runner.data.loader import Loader
from runner.optim.optimization import Schedule
from runner.optim.optimizers import Optimizers, Schedules
from runner.runtime.precision import Precision
from runner.runtime.ranks import ALONE, Ranks
from runner.tasks.task import Task
from runner.training.callback import Callback
from runner.training.first_weights import FirstWeights, OwnWeights
from runner.training.pruning import NoPruning, Pruning
from runner.training.weight_average import WeightAverage


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the loop works with; `build` makes it."""

    model: nn.Module
    task: Task
    optimizer: Optimizer | Optimizers
    schedule: Schedule | Schedules
    loaders: Mapping[str, Loader]  # by name, as in `Data.splits`; "train" is always there
    augment: BatchAugmentation | None
    callbacks: Mapping[str, Callback]
    options: Options
    device: torch.device
    precision: Precision
    data_fingerprint: dict[str, str]
    planned_steps: int | None
    average: WeightAverage
    preprocessor: Any = None  # saved with the run, and used by nobody in training
    ranks: Ranks = ALONE
    pruning: Pruning = field(default_factory=NoPruning)
    first_weights: FirstWeights = field(default_factory=OwnWeights)

    def close_loaders(self) -> None:
        """End the workers that load data."""
        for loader in self.loaders.values():
            loader.close()

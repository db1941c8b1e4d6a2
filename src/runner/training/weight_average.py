"""`WeightAverage`: an exponential moving average of the weights (Polyak and Juditsky 1992).

Evaluations, the test and readers use it in place of the last weights; training never does.
"""

from typing import Protocol

import torch
from torch import nn

from runner.training.buffers import copy_buffers


class WeightAverage(Protocol):
    """A model to evaluate, which follows the one that is trained.

    `copy` is that model where it is another one than the trained: it has a state of its own.
    """

    @property
    def model(self) -> nn.Module: ...

    @property
    def copy(self) -> nn.Module | None: ...

    def update(self) -> None:
        """Take in the weights after a step."""
        ...


class NoAverage:
    """The model that is trained itself."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.copy = None

    def update(self) -> None: ...


class ExponentialAverage:
    """`average` becomes decay x average + (1 - decay) x weights after each step."""

    def __init__(self, average: nn.Module, model: nn.Module, *, decay: float) -> None:
        self.model = self.copy = average.requires_grad_(False)
        self._trained = model
        self._weights = list(model.parameters())
        self._averages = list(average.parameters())
        self._share = 1.0 - decay

    @torch.no_grad()
    def update(self) -> None:
        torch._foreach_lerp_(self._averages, self._weights, self._share)  # type: ignore[attr-defined]
        copy_buffers(self._trained, self.model)

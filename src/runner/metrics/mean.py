"""`Mean`: a weighted mean over a split, of a loss for instance; and the perplexity of one."""

import math

import torch
from torch import Tensor


class Mean:
    """Sum of value x weight and sum of weights; values may stay on their device until `state`."""

    def __init__(self) -> None:
        self._pending: list[tuple[Tensor, float]] = []
        self._state = torch.zeros(2, dtype=torch.float64)  # (sum of value x weight, sum of weights)

    def update(self, value: Tensor, weight: float) -> None:
        """Add `value` (a scalar, not copied from its device yet) with `weight`."""
        self._pending.append((value.detach(), weight))

    def state(self) -> Tensor:
        if self._pending:
            values = torch.stack([value for value, _ in self._pending]).cpu().double()
            weights = torch.tensor([weight for _, weight in self._pending], dtype=torch.float64)
            self._state += torch.stack([(values * weights).sum(), weights.sum()])
            self._pending.clear()
        return self._state.clone()

    def load(self, state: Tensor) -> None:
        self._pending.clear()
        self._state = state.clone()

    def compute(self) -> float:
        """Return the mean, NaN if nothing was added."""
        total, weight = self.state().tolist()
        return total / weight if weight else float("nan")


class Perplexity(Mean):
    """exp of the mean loss over tokens: among how many tokens, as it were, a model hesitates."""

    def compute(self) -> float:
        """Return exp(mean), infinite where that is too large for a float."""
        mean = super().compute()
        return math.inf if mean > _LARGEST else math.exp(mean)


_LARGEST = 709.0  # exp of more is no float

"""`Mean`: a weighted mean over a split, of a loss for instance."""

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

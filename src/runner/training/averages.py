"""`Averages`: means of what training steps report, without waiting for the device."""

from typing import Any

import torch
from torch import Tensor

_FOLD_AT = 1024  # so many scalars may wait on the device


class Averages:
    """Weighted means since the last reset.

    `add` only keeps references; the device is waited for when a mean is asked for.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[list[Tensor], list[int]]] = {}
        self._sums: dict[str, tuple[float, int]] = {}  # name -> (weighted sum, weight)

    def add(self, values: dict[str, Tensor], *, weight: int) -> None:
        """Count scalars, still on the device, with `weight` each."""
        for name, value in values.items():
            tensors, weights = self._waiting.setdefault(name, ([], []))
            tensors.append(value.detach())
            weights.append(weight)
            if len(tensors) >= _FOLD_AT:
                self._fold()

    def means(self) -> dict[str, float]:
        """Return the mean of each value; waits for the device."""
        self._fold()
        return {name: total / weight for name, (total, weight) in self._sums.items()}

    def reset(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        self._sums.clear()

    def state_dict(self) -> dict[str, Any]:
        self._fold()
        return {name: list(sums) for name, sums in self._sums.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._waiting.clear()
        self._sums = {name: (total, weight) for name, (total, weight) in state.items()}

    def _fold(self) -> None:
        for name, (tensors, weights) in self._waiting.items():
            total, weight = self._sums.get(name, (0.0, 0))
            for value, own_weight in zip(torch.stack(tensors).tolist(), weights, strict=True):
                total += value * own_weight
                weight += own_weight
            self._sums[name] = (total, weight)
        self._waiting.clear()

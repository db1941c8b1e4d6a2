"""`Averages`: means of what training steps report, without waiting for the device."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from runner.runtime.ranks import ALONE, Ranks

_FOLD_AT = 1024  # so many scalars may wait on the device


class Averages:
    """Weighted means since the last reset, over all ranks.

    `add` only keeps references; the device is waited for when a mean is asked for. The state is
    this rank's own sums. With `finite_only` values that are no numbers do not count.
    """

    def __init__(self, ranks: Ranks = ALONE, *, finite_only: bool = False) -> None:
        self._ranks = ranks
        self._finite_only = finite_only
        self._waiting: dict[str, tuple[list[Tensor], list[float]]] = {}
        self._sums: dict[str, tuple[float, float]] = {}  # name -> (weighted sum, weight)

    def add(self, values: Mapping[str, Tensor | float], *, weight: float) -> None:
        """Count scalars, tensors still on the device or plain numbers, with `weight` each."""
        for name, value in values.items():
            tensors, weights = self._waiting.setdefault(name, ([], []))
            tensors.append(torch.as_tensor(value).detach())
            weights.append(weight)
            if len(tensors) >= _FOLD_AT:
                self._fold()

    def means(self) -> dict[str, float]:
        """Return the mean of each value over all ranks (all call this); waits for the device."""
        self._fold()
        sums = self._sums_of_all()
        return {name: total / weight for name, (total, weight) in sums.items() if weight}

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

    def merge_states(self, states: list[dict[str, Any]]) -> None:
        """Take over what all ranks had, when a run goes on with another number of them."""
        self._waiting.clear()
        self._sums = {}
        for state in states if self._ranks.is_main else []:
            for name, (total, weight) in state.items():
                own_total, own_weight = self._sums.get(name, (0.0, 0))
                self._sums[name] = (own_total + total, own_weight + weight)

    def _sums_of_all(self) -> dict[str, tuple[float, float]]:
        if not self._ranks.are_several:
            return dict(self._sums)
        # A rank without a part in a small batch may lack a name.
        names = {name: None for own in self._ranks.gather(list(self._sums)) for name in own}
        sums = torch.tensor(
            [self._sums.get(name, (0.0, 0)) for name in names], dtype=torch.float64
        ).reshape(-1, 2)
        totals = self._ranks.sum(sums).tolist()
        return {name: (total, weight) for name, (total, weight) in zip(names, totals, strict=True)}

    def _fold(self) -> None:
        for name, (tensors, weights) in self._waiting.items():
            total, weight = self._sums.get(name, (0.0, 0))
            for value, own_weight in zip(torch.stack(tensors).tolist(), weights, strict=True):
                if self._finite_only and not math.isfinite(value):
                    continue
                total += value * own_weight
                weight += own_weight
            self._sums[name] = (total, weight)
        self._waiting.clear()

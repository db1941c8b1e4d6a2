"""`TorchMetric`: a metric of torchmetrics, as far as its state is a sum."""

import copy
from typing import Any

import torch
from torch import Tensor

from runner.errors import ConfigError


def is_of_torchmetrics(value: object) -> bool:
    """Return whether `value` is a metric of torchmetrics, without importing it."""
    return any(
        kind.__module__.split(".")[0] == "torchmetrics" and kind.__name__ == "Metric"
        for kind in type(value).__mro__
    )


class TorchMetric:
    """Gives the states of `metric` as one tensor of sums, so that ranks add up exactly.

    Raises ConfigError for a metric whose states are lists, or are reduced otherwise than by a sum:
    its value over several processes would not be that of one.
    """

    def __init__(self, metric: Any) -> None:
        self._metric = copy.deepcopy(metric)
        self._metric.reset()
        self._names = list(metric._defaults)
        for name in self._names:
            reduction = metric._reductions[name]
            is_sum = getattr(reduction, "__name__", "") in ("sum", "dim_zero_sum")
            if not is_sum or not isinstance(metric._defaults[name], Tensor):
                raise ConfigError(
                    f"task.metrics: the state '{name}' of {type(metric).__name__} is no sum, so "
                    "its value over several processes would not be exact: use another metric"
                )

    def update(self, predicted: Any, targets: Any) -> None:
        self._metric.update(predicted, targets)

    def state(self) -> Tensor:
        parts = [getattr(self._metric, name).double().flatten() for name in self._names]
        return torch.cat(parts)

    def load(self, state: Tensor) -> None:
        for name in self._names:
            own = getattr(self._metric, name)
            part, state = state[: own.numel()], state[own.numel() :]
            setattr(self._metric, name, part.view(own.shape).to(own.dtype))

    def compute(self) -> float:
        """Return the figure; ConfigError if it is more than one number."""
        value = self._metric.compute()
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ConfigError(
                f"task.metrics: {type(self._metric).__name__} gives more than one number: "
                "choose an average"
            )
        return float(value)

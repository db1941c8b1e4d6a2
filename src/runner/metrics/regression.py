"""Metrics of predicted numbers; predictions and targets hold as many numbers, on the CPU."""

import math

from torch import Tensor

from runner.metrics.sums import Sums


class MeanAbsoluteError(Sums):
    """The mean of |prediction - target|."""

    def __init__(self) -> None:
        super().__init__("errors", "count")

    def update(self, predicted: Tensor, targets: Tensor) -> None:
        error = predicted.reshape(targets.shape).double() - targets.double()
        self.add(errors=float(error.abs().sum()), count=error.numel())

    def compute(self) -> float:
        """Return the mean, NaN without any number."""
        return self.ratio("errors", "count")


class MeanSquaredError(Sums):
    """The mean of (prediction - target)^2."""

    def __init__(self) -> None:
        super().__init__("errors", "count")

    def update(self, predicted: Tensor, targets: Tensor) -> None:
        error = predicted.reshape(targets.shape).double() - targets.double()
        self.add(errors=float((error**2).sum()), count=error.numel())

    def compute(self) -> float:
        """Return the mean, NaN without any number."""
        return self.ratio("errors", "count")


class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean squared error, in the unit of the targets."""

    def compute(self) -> float:
        """Return the root, NaN without any number."""
        return math.sqrt(super().compute())


class R2(Sums):
    """The share of the targets' variance that is predicted: 1 - squared errors / variance."""

    larger_is_better = True

    def __init__(self) -> None:
        super().__init__("errors", "targets", "squares", "count")

    def update(self, predicted: Tensor, targets: Tensor) -> None:
        targets = targets.double()
        error = predicted.reshape(targets.shape).double() - targets
        self.add(
            errors=float((error**2).sum()),
            targets=float(targets.sum()),
            squares=float((targets**2).sum()),
            count=targets.numel(),
        )

    def compute(self) -> float:
        """Return 1 for perfect, 0 for no better than the mean target; NaN if all are equal."""
        if not self["count"]:
            return float("nan")
        variance = self["squares"] - self["targets"] ** 2 / self["count"]
        return 1.0 - self["errors"] / variance if variance > 0 else float("nan")

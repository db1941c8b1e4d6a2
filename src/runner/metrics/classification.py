"""Metrics of predicted classes: accuracy and macro-F1, both from one confusion matrix."""

import torch
from torch import Tensor


class ConfusionMatrix:
    """Counts of (target, predicted) pairs; subclasses say what figure to compute from them."""

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        self._counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)

    def update(self, predicted: Tensor, targets: Tensor) -> None:
        """Add the pairs of two int64 tensors of class numbers, both on the CPU."""
        pairs = targets * self._num_classes + predicted
        counts = torch.bincount(pairs, minlength=self._num_classes**2)
        self._counts += counts.view(self._num_classes, self._num_classes)

    def state(self) -> Tensor:
        return self._counts.double()

    def load(self, state: Tensor) -> None:
        self._counts = state.to(torch.int64)


class Accuracy(ConfusionMatrix):
    """The share of samples whose class was predicted."""

    def compute(self) -> float:
        """Return right samples / samples, NaN without any sample."""
        total = int(self._counts.sum())
        return int(self._counts.diagonal().sum()) / total if total else float("nan")


class RightShare:
    """The share of predictions that equal their targets, of however many classes."""

    def __init__(self) -> None:
        self._counts = torch.zeros(2, dtype=torch.float64)  # right, all

    def update(self, predicted: Tensor, targets: Tensor) -> None:
        """Add two tensors of one shape, both on the CPU."""
        right = int((predicted == targets).sum())
        self._counts += torch.tensor([right, targets.numel()], dtype=torch.float64)

    def state(self) -> Tensor:
        return self._counts.clone()

    def load(self, state: Tensor) -> None:
        self._counts = state.clone()

    def compute(self) -> float:
        """Return right / all, NaN without any."""
        right, total = self._counts.tolist()
        return right / total if total else float("nan")


class MacroF1(ConfusionMatrix):
    """The mean over classes of F1 = 2 x hits / (targets + predictions) of that class.

    Classes that occur neither among targets nor among predictions do not count.
    """

    def compute(self) -> float:
        """Return the mean F1, NaN without any sample."""
        hits = self._counts.diagonal().double()
        occurrences = (self._counts.sum(0) + self._counts.sum(1)).double()
        seen = occurrences > 0
        return float((2 * hits[seen] / occurrences[seen]).mean())

"""Metrics of predicted classes: shares of right ones, and what a confusion matrix tells."""

import torch
from torch import Tensor

from runner.errors import ConfigError, did_you_mean
from runner.metrics.sums import Sums

AVERAGES = ("macro", "micro", "weighted")


class Accuracy(Sums):
    """The share of predictions that equal their targets, of however many classes."""

    larger_is_better = True

    def __init__(self) -> None:
        super().__init__("right", "all")

    def update(self, predicted: Tensor, targets: Tensor) -> None:
        """Add class numbers, or logits (batch, classes, ...), and class numbers, on the CPU."""
        classes = classes_of(predicted, targets)
        self.add(right=int((classes == targets).sum()), all=targets.numel())

    def compute(self) -> float:
        """Return right / all, NaN without any."""
        return self.ratio("right", "all")


class TopKAccuracy(Sums):
    """The share of targets among the `k` classes with the largest logits."""

    larger_is_better = True

    def __init__(self, k: int = 5) -> None:
        super().__init__("right", "all")
        if k < 1:
            raise ConfigError(f"top_k_accuracy: k must be >= 1, got {k}")
        self._k = k

    def update(self, predicted: Tensor, targets: Tensor) -> None:
        """Add logits (batch, classes) and class numbers (batch,), on the CPU."""
        best = predicted.topk(min(self._k, predicted.shape[1]), dim=1).indices
        right = (best == targets.unsqueeze(1)).any(dim=1)
        self.add(right=int(right.sum()), all=len(targets))

    def compute(self) -> float:
        """Return right / all, NaN without any."""
        return self.ratio("right", "all")


class ConfusionMatrix:
    """Counts of (target, predicted) pairs; subclasses say what figure to compute from them."""

    larger_is_better = True

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        self._counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)

    def update(self, predicted: Tensor, targets: Tensor) -> None:
        """Add class numbers, or logits (batch, classes, ...), and class numbers, on the CPU."""
        pairs = targets.flatten() * self._num_classes + classes_of(predicted, targets).flatten()
        counts = torch.bincount(pairs, minlength=self._num_classes**2)
        self._counts += counts.view(self._num_classes, self._num_classes)

    def state(self) -> Tensor:
        return self._counts.double()

    def load(self, state: Tensor) -> None:
        self._counts = state.to(torch.int64)


class ByClass(ConfusionMatrix):
    """Hits of each class over a mix of its targets and predictions, averaged over the classes.

    `macro` is the mean over the classes that occur among targets or predictions, `weighted` weighs
    them by their targets, `micro` counts all classes together, which is the accuracy.
    """

    share_of_targets: float  # in the mix

    def __init__(self, num_classes: int, average: str = "macro") -> None:
        super().__init__(num_classes)
        if average not in AVERAGES:
            raise ConfigError(
                f"average must be one of {', '.join(AVERAGES)}, got '{average}'"
                + did_you_mean(average, AVERAGES)
            )
        self._average = average

    def compute(self) -> float:
        """Return the average figure, NaN without any sample."""
        hits = self._counts.diagonal().double()
        targets, predictions = self._counts.sum(1).double(), self._counts.sum(0).double()
        if self._average == "micro":
            return float(hits.sum() / targets.sum())
        mix = self.share_of_targets * targets + (1 - self.share_of_targets) * predictions
        seen = (targets + predictions) > 0
        scores = (hits / mix.clamp(min=1e-12))[seen]
        weights = targets[seen] if self._average == "weighted" else torch.ones_like(scores)
        return float((scores * weights).sum() / weights.sum())


class Precision(ByClass):
    """Of the predictions of a class, the share that is right; 0 for a class never predicted."""

    share_of_targets = 0.0


class Recall(ByClass):
    """Of the targets of a class, the share that was found; 0 for a class without a target."""

    share_of_targets = 1.0


class F1(ByClass):
    """The harmonic mean of precision and recall: 2 x hits / (targets + predictions)."""

    share_of_targets = 0.5


class MacroF1(F1):
    """The mean over classes of F1; those that never occur do not count."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)


def classes_of(predicted: Tensor, targets: Tensor) -> Tensor:
    """Return class numbers: those given, or the classes (along dimension 1) of largest logit."""
    if predicted.dim() == targets.dim():
        return predicted.long()
    return predicted.argmax(dim=1)

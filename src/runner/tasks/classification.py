"""`Classification`: one class for each sample."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from runner.data.data import Batch
from runner.errors import ConfigError
from runner.metrics.by_name import MetricSet, Wanted
from runner.metrics.metric import Metric
from runner.tasks.labels import IGNORED
from runner.tasks.supervised import COUNTS, Supervised, num_targets
from runner.tasks.task import Predictions

DEFAULT_METRICS = ("accuracy", "macro_f1")


class Classification(Supervised):
    """Trains with cross entropy; the model returns logits of shape (batch, classes).

    Batches are those of `Supervised`; targets are class numbers. Predictions use `class_names`, or
    without them the numbers.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        label_smoothing: float = 0.0,
        metrics: Wanted = DEFAULT_METRICS,
    ) -> None:
        super().__init__({"cross_entropy": {"label_smoothing": label_smoothing}})
        self.class_names = _names(num_classes, class_names)
        self._label_smoothing = label_smoothing
        self._metrics = MetricSet(metrics, num_classes=len(self.class_names))

    def loss_of(self, output: Any, batch: Batch) -> Tensor:
        if COUNTS in batch:  # its samples count unequally
            return self.mean_loss(output, batch)
        return functional.cross_entropy(  # what `loss` comes to, at less cost
            output.float(), batch["target"], label_smoothing=self._label_smoothing
        )

    def evaluation_step(
        self, model: nn.Module, batch: Batch, metrics: Mapping[str, Metric]
    ) -> Predictions:
        target, logits = batch["target"], self.forward(model, batch)
        metrics["loss"].update(self.loss_of(logits, batch), num_targets(batch))
        predicted, probabilities, wanted = _to_host(*most_probable(logits), target)
        self._metrics.update(metrics, *self.loss.without_ignored(logits, wanted.long()))
        return Predictions(self._named(predicted), probabilities.tolist(), self._named(wanted))

    def predictions_of(self, output: Any) -> tuple[list[str], list[float]]:
        predicted, probabilities = _to_host(*most_probable(output))
        return self._named(predicted), probabilities.tolist()

    def _named(self, classes: Tensor) -> list[str]:
        names = self.class_names
        return [str(n) if n == IGNORED else names[n] for n in classes.long().tolist()]


def most_probable(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the class of each sample and its probability, on the device of `logits`."""
    probabilities, classes = logits.detach().float().softmax(dim=-1).max(dim=-1)
    return classes, probabilities


def _to_host(*columns: Tensor) -> Tensor:
    """Return the columns as float32 rows on the CPU, by one copy; exact up to 2^24 classes."""
    return torch.stack([column.float() for column in columns]).cpu()


def _names(num_classes: int | None, class_names: Sequence[str] | None) -> list[str]:
    if class_names is None:
        if num_classes is None:
            raise ConfigError("task: give num_classes, or class_names")
        return [str(number) for number in range(num_classes)]
    if num_classes is not None and num_classes != len(class_names):
        raise ConfigError(
            f"task.num_classes is {num_classes}, but task.class_names has {len(class_names)} names"
        )
    return [str(name) for name in class_names]

"""`Classification`: one class for each sample."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from runner.data.data import Batch
from runner.errors import ConfigError
from runner.metrics.classification import Accuracy, MacroF1
from runner.metrics.mean import Mean
from runner.metrics.metric import Metric
from runner.tasks.task import Predictions, StepOutput


class Classification:
    """Trains with cross entropy; the model returns logits of shape (batch, classes).

    A batch is a pair (inputs, targets) or a mapping with `input` or `image`, and `target`; targets
    are class numbers. Predictions use `class_names`, or without them the numbers.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        self.class_names = _names(num_classes, class_names)
        self._label_smoothing = label_smoothing

    def prepare(self, batch: Any) -> Batch:
        """Return {"input": ..., "target": ...}; without targets, {"input": ...}."""
        if isinstance(batch, Mapping):
            inputs = batch["input"] if "input" in batch else batch["image"]
            return {"input": inputs} | {key: batch[key] for key in ("target",) if key in batch}
        inputs, targets = batch
        return {"input": inputs, "target": targets}

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        target = batch["target"]
        return StepOutput(self._loss(model(batch["input"]), target), len(target))

    def metrics(self) -> dict[str, Metric]:
        num_classes = len(self.class_names)
        return {"loss": Mean(), "accuracy": Accuracy(num_classes), "macro_f1": MacroF1(num_classes)}

    def evaluation_step(
        self, model: nn.Module, batch: Batch, metrics: Mapping[str, Metric]
    ) -> Predictions:
        target = batch["target"]
        logits = model(batch["input"])
        metrics["loss"].update(self._loss(logits, target), len(target))
        predicted, probabilities, wanted = _to_host(*most_probable(logits), target)
        for name in ("accuracy", "macro_f1"):
            metrics[name].update(predicted.long(), wanted.long())
        return Predictions(self._named(predicted), probabilities.tolist(), self._named(wanted))

    def predict(self, model: nn.Module, batch: Batch) -> Predictions:
        predicted, probabilities = _to_host(*most_probable(model(batch["input"])))
        return Predictions(self._named(predicted), probabilities.tolist())

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(
            logits.float(), target, label_smoothing=self._label_smoothing
        )

    def _named(self, classes: Tensor) -> list[str]:
        return [self.class_names[number] for number in classes.long().tolist()]


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

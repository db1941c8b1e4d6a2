"""Metrics by name with arguments, new ones for every evaluation."""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from runner.errors import ConfigError, did_you_mean
from runner.metrics.classification import F1, Accuracy, MacroF1, Precision, Recall, TopKAccuracy
from runner.metrics.metric import Metric
from runner.metrics.regression import (
    R2,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
)
from runner.metrics.text import CharacterErrorRate, WholeTextAccuracy, WordErrorRate
from runner.metrics.torchmetrics_adapter import TorchMetric, is_of_torchmetrics

Wanted = Mapping[str, Any] | Sequence[str]

OF_TENSORS: dict[str, Callable[..., Metric]] = {
    "accuracy": Accuracy,
    "top_k_accuracy": TopKAccuracy,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "macro_f1": MacroF1,
    "mae": MeanAbsoluteError,
    "mse": MeanSquaredError,
    "rmse": RootMeanSquaredError,
    "r2": R2,
}
OF_TEXTS: dict[str, Callable[..., Metric]] = {
    "cer": CharacterErrorRate,
    "wer": WordErrorRate,
    "exact_match": WholeTextAccuracy,
}


class MetricSet:
    """Metrics that a user names: ["mae", "r2"], or each with its arguments.

        {"f1": {"average": "macro"}, "mine": MyMetric()}

    A value is a mapping of arguments (or null), a `Metric` of one's own, or one of torchmetrics.
    `known` are the names there are; `num_classes` is given to those that ask for it. Raises
    ConfigError for a name or an argument that does not exist.
    """

    def __init__(
        self,
        wanted: Wanted,
        *,
        known: Mapping[str, Callable[..., Metric]] = OF_TENSORS,
        num_classes: int | None = None,
    ) -> None:
        named = wanted if isinstance(wanted, Mapping) else dict.fromkeys(wanted)
        defaults = {} if num_classes is None else {"num_classes": num_classes}
        self._models = {name: _build(name, value, known, defaults) for name, value in named.items()}

    def new(self) -> dict[str, Metric]:
        """Return the metrics, empty."""
        return copy.deepcopy(self._models)

    def update(self, metrics: Mapping[str, Metric], predicted: Any, targets: Any) -> None:
        """Update those of `metrics` that are of this set, by tensors of any device or by texts."""
        if not self._models:
            return
        predicted, targets = _on_host(predicted), _on_host(targets)
        for name in self._models:
            metrics[name].update(predicted, targets)


def _build(
    name: str,
    value: Any,
    known: Mapping[str, Callable[..., Metric]],
    defaults: Mapping[str, Any],
) -> Metric:
    if is_of_torchmetrics(value):
        return TorchMetric(value)
    if value is not None and not isinstance(value, Mapping):
        return value
    if name not in known:
        raise ConfigError(
            f"task.metrics: there is no metric '{name}'{did_you_mean(name, known)} (there are "
            f"{', '.join(known)}; one of your own is given as an object, in a config by `_target_`)"
        )
    given = {**_accepted(known[name], defaults), **(value or {})}
    try:
        return known[name](**given)
    except TypeError as error:
        raise ConfigError(f"task.metrics.{name}: {_plainly(error)}") from error
    except ConfigError as error:
        raise ConfigError(f"task.metrics.{name}: {error}") from error


def _accepted(build: Callable[..., Metric], defaults: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(build).parameters
    return {key: value for key, value in defaults.items() if key in parameters}


def _plainly(error: TypeError) -> str:
    text = str(error)
    if "num_classes" in text and "missing" in text:
        return "it has to be told num_classes, as {num_classes: 10}"
    return text.split("__init__() ", 1)[-1]  # "F1.__init__() got an unexpected ..."


def _on_host(values: Any) -> Any:
    return values.detach().cpu() if isinstance(values, Tensor) else values

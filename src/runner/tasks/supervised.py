"""`Supervised`: any module, any loss; the base of tasks that learn from inputs and targets."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from runner.data.data import Batch
from runner.errors import DataError
from runner.metrics.by_name import MetricSet, Wanted
from runner.metrics.mean import Mean
from runner.metrics.metric import Metric
from runner.tasks.losses import OF_CLASSES, Loss, LossFunction, nothing, weighted_mean
from runner.tasks.task import Predictions, StepOutput

WEIGHT = "weight"  # of each sample
COUNTS = "num_targets"  # of each sample, a list that stays on the host: what it adds to the mean
_NO_INPUTS = ("target", WEIGHT, COUNTS)


class Supervised:
    """Trains any module by any loss, and measures it by metrics that are named.

    A batch is a pair (inputs, targets), a triple with the weights of the samples, or a mapping with
    `target` and perhaps `weight`; of a mapping the model is given `input` or `image`, or all other
    entries by name. `loss` is described in `losses.Loss`, `metrics` in `by_name.MetricSet`:
    {"mae": {}, "f1": {"average": "macro"}}; `loss` is always measured.

    Subclasses override what differs: `prepare`, `forward`, `loss_of`, `predictions_of`.
    """

    def __init__(
        self, loss: str | Mapping[str, Any] | LossFunction, metrics: Wanted | None = None
    ) -> None:
        self.loss = Loss(loss)
        self._metrics = MetricSet(metrics or {})

    def prepare(self, batch: Any) -> Batch:
        """Turn what the loader gives into {"input", "target", ...}, on the host."""
        named = as_mapping(batch)
        if "target" not in named:
            return named
        counts = self.loss.counts(named["target"], named.get(WEIGHT))
        return named if counts is None else {**named, COUNTS: counts}

    def forward(self, model: nn.Module, batch: Batch) -> Any:
        """Return the output of `model` for `batch`."""
        if "input" in batch:
            return model(batch["input"])
        return model(**{key: value for key, value in batch.items() if key not in _NO_INPUTS})

    def loss_of(self, output: Any, batch: Batch) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss, a scalar; or with it further scalars to log, by name.

        They stay on the device: no `.item()`, no `if`.
        """
        return self.mean_loss(output, batch)

    def mean_loss(self, output: Any, batch: Batch) -> Tensor:
        """Return the mean of `loss` over the targets that count, 0 without any."""
        if not num_targets(batch) and isinstance(output, Tensor):
            return nothing(output)
        return self.loss(output, batch["target"], batch.get(WEIGHT))

    def predictions_of(self, output: Any) -> tuple[list[str], list[float]]:
        """Return a text and a confidence (0-1) for each sample."""
        if self.loss.name in OF_CLASSES:
            probabilities, classes = output.detach().float().softmax(dim=1).max(dim=1)
            return texts_of(classes), probabilities.reshape(len(output), -1).mean(dim=1).tolist()
        return texts_of(output), [1.0] * len(output)

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        loss, values = with_values(self.loss_of(self.forward(model, batch), batch))
        return StepOutput(loss, num_targets(batch), values)

    def metrics(self) -> dict[str, Metric]:
        return {"loss": Mean(), **self._metrics.new()}

    def evaluation_step(
        self, model: nn.Module, batch: Batch, metrics: Mapping[str, Metric]
    ) -> Predictions:
        output = self.forward(model, batch)
        loss, values = with_values(self.loss_of(output, batch))
        for name, value in {**values, "loss": loss}.items():
            if name in metrics:
                metrics[name].update(value, num_targets(batch))
        self._metrics.update(metrics, *self.loss.without_ignored(output, batch["target"]))
        texts, confidences = self.predictions_of(output)
        return Predictions(texts, confidences, texts_of(batch["target"]))

    def predict(self, model: nn.Module, batch: Batch) -> Predictions:
        return Predictions(*self.predictions_of(self.forward(model, batch)))


def with_values(
    loss: Tensor | tuple[Tensor, dict[str, Tensor]],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return what `loss_of` returned in its longer form."""
    return (loss, {}) if isinstance(loss, Tensor) else loss


def num_targets(batch: Batch) -> float:
    """Return how much the samples of a batch count together."""
    return sum(batch[COUNTS]) if COUNTS in batch else len(batch["target"])


def mean_over(losses: Tensor, batch: Batch) -> Tensor:
    """Return the mean of `losses` (batch,), each counting as much as its sample does."""
    if COUNTS not in batch:
        return losses.mean()
    return weighted_mean(losses, losses.new_tensor(batch[COUNTS]))


def texts_of(values: Tensor) -> list[str]:
    """Return the numbers of each sample as text, those of a sample apart by spaces."""
    rows = values.detach().cpu().reshape(len(values), -1)
    form = "{:.4g}" if rows.is_floating_point() else "{}"
    return [" ".join(form.format(number) for number in row) for row in rows.tolist()]


def as_mapping(batch: Any) -> dict[str, Any]:
    """Return what the loader gives as {"input", "target", ...}; DataError for other forms."""
    if isinstance(batch, list | tuple) and 2 <= len(batch) <= 3:
        return dict(zip(("input", "target", WEIGHT), batch, strict=False))
    if isinstance(batch, Mapping):
        named = dict(batch)
        if "image" in named and "input" not in named:
            named["input"] = named.pop("image")
        if "input" in named:  # what else is there (a file's name, say) is no tensor of the task
            named = {key: named[key] for key in ("input", "target", WEIGHT) if key in named}
        return named
    if isinstance(batch, Tensor):
        return {"input": batch}
    raise DataError(
        "task: a batch must be (inputs, targets), (inputs, targets, weights) or a mapping with "
        f"`target`, got a {type(batch).__name__}: let data.collate make one"
    )

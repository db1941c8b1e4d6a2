"""`HuggingFace`: a model that computes its own loss, as those of `transformers` do."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from runner.data.characters import Tokenizer
from runner.data.data import Batch
from runner.errors import ConfigError, DataError, did_you_mean
from runner.metrics.by_name import MetricSet, Wanted
from runner.metrics.mean import Mean, Perplexity
from runner.metrics.metric import Metric
from runner.tasks.labels import IGNORED, ClassLabels, Labels, TokenLabels, ValueLabels, read_tokens
from runner.tasks.losses import nothing
from runner.tasks.task import Predictions, StepOutput

KINDS = ("next_tokens", "tokens", "classes", "values")
COUNTS = "num_targets"  # the only key of a batch that the model does not get


class HuggingFace:
    """Trains `model(**batch)` by the `loss` of what it returns; `logits` are its predictions.

    A batch is a mapping with `labels` among its keys. What they are is said by `labels`:

    - next_tokens: of a causal language model, each place predicting the next (without `labels` they
      are the `input_ids` where `attention_mask` is not 0);
    - tokens: of a masked or a sequence-to-sequence language model, or a class for each token;
    - classes: one class for each sample;
    - values: numbers.

    `metrics` are named as in `MetricSet` (null: the accuracy of classes); those of tokens compare
    the most probable ones. The perplexity of tokens is always measured.

    The loss has to be the mean over the labels that are not -100, and weighs as many. Predictions
    are texts by `tokenizer` (without it: token numbers), or `class_names` (without them: those in
    the model's own config). `max_new_tokens` is how far `predict` goes on with a text.
    """

    def __init__(
        self,
        labels: str,
        tokenizer: Tokenizer | None = None,
        class_names: Sequence[str] | None = None,
        max_new_tokens: int = 64,
        metrics: Wanted | None = None,
    ) -> None:
        if labels not in KINDS:
            raise ConfigError(
                f"task.labels must be one of {', '.join(KINDS)}, got '{labels}'"
                + did_you_mean(labels, KINDS)
            )
        self._kind = labels
        self._labels = _labels(labels, tokenizer, class_names)
        self._metrics = MetricSet(
            self._labels.default_metrics if metrics is None else metrics,
            num_classes=None if class_names is None else len(class_names),
        )
        self._tokenizer = tokenizer
        self._max_new_tokens = max_new_tokens

    def prepare(self, batch: Any) -> Batch:
        """Add the list `num_targets`: how many labels of each sample count."""
        if not isinstance(batch, Mapping):
            raise DataError(
                f"task=huggingface calls model(**batch) and needs a mapping such as {{'input_ids': "
                f"..., 'labels': ...}}, got a {type(batch).__name__}: let data.collate make one"
            )
        named = dict(batch)
        if self._kind == "next_tokens" and "labels" not in named:
            named["labels"] = _next_tokens(named)
        if "labels" in named:
            named[COUNTS] = self._labels.counts(named["labels"])
        return named

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        output, count = self._call(model, batch)
        return StepOutput(_loss(output, count), count)

    def metrics(self) -> dict[str, Metric]:
        perplexity = {"perplexity": Perplexity()} if self._labels.are_tokens else {}
        return {"loss": Mean(), **perplexity, **self._metrics.new()}

    def evaluation_step(
        self, model: nn.Module, batch: Batch, metrics: Mapping[str, Metric]
    ) -> Predictions:
        output, count = self._call(model, batch)
        loss, logits, labels = _loss(output, count), _logits(output), batch["labels"]
        for name in ("loss", "perplexity"):
            if name in metrics:
                metrics[name].update(loss, count)
        self._metrics.update(metrics, *self._labels.pairs(logits, labels))
        texts, confidences = self._labels.predicted(model, logits, labels)
        return Predictions(texts, confidences, self._labels.readable(model, labels))

    def predict(self, model: nn.Module, batch: Batch) -> Predictions:
        """Predict without labels; a causal language model goes on with the text it is given."""
        inputs = {key: value for key, value in batch.items() if key not in ("labels", COUNTS)}
        if self._kind == "next_tokens" and hasattr(model, "generate"):
            return self._continued(model, inputs)
        texts, confidences = self._labels.predicted(model, _logits(model(**inputs)), None)
        return Predictions(texts, confidences)

    def _continued(self, model: nn.Module, inputs: Batch) -> Predictions:
        start = inputs["input_ids"].shape[1]
        tokens = model.generate(  # type: ignore[operator]
            **inputs, max_new_tokens=self._max_new_tokens, do_sample=False
        )
        texts = [read_tokens(self._tokenizer, row[start:]) for row in tokens.tolist()]
        return Predictions(texts, [1.0] * len(texts))

    def _call(self, model: nn.Module, batch: Batch) -> tuple[Any, int]:
        if COUNTS not in batch:
            raise DataError(
                f"task=huggingface: the batch has no 'labels' (its keys: {', '.join(batch)}), so "
                "the model has no loss"
            )
        inputs = {key: value for key, value in batch.items() if key != COUNTS}
        return model(**inputs), sum(batch[COUNTS])


def _labels(kind: str, tokenizer: Tokenizer | None, class_names: Sequence[str] | None) -> Labels:
    if kind == "classes":
        return ClassLabels(class_names)
    if kind == "values":
        return ValueLabels()
    return TokenLabels(tokenizer, shift=kind == "next_tokens")


def _next_tokens(batch: Mapping[str, Any]) -> Tensor:
    tokens, mask = batch["input_ids"], batch.get("attention_mask")
    return tokens if mask is None else tokens.masked_fill(mask == 0, IGNORED)


def _loss(output: Any, count: int) -> Tensor:
    """Return the loss; without a label that counts, where a mean is no number, a zero."""
    loss = _field(output, "loss")
    if not isinstance(loss, Tensor):
        raise ConfigError(
            "task=huggingface: the model returned no loss, though it was given labels: use a task "
            "that computes one (task=supervised)"
        )
    return loss if count else nothing(_logits(output))


def _logits(output: Any) -> Tensor:
    logits = _field(output, "logits")
    if not isinstance(logits, Tensor):
        raise ConfigError("task=huggingface: the model returned no logits")
    return logits


def _field(output: Any, name: str) -> Any:
    return output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)

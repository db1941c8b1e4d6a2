"""`SequenceToSequence`: from one text to another.

Learned by teacher forcing (Williams and Zipser, "A Learning Algorithm for Continually Running Fully
Recurrent Neural Networks", 1989).
"""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from runner.data.characters import Tokenizer
from runner.data.data import Batch
from runner.errors import ConfigError, DataError
from runner.metrics.by_name import OF_TEXTS, MetricSet, Wanted
from runner.metrics.mean import Mean
from runner.metrics.metric import Metric
from runner.tasks.labels import IGNORED
from runner.tasks.task import Predictions, StepOutput


class Generator(Protocol):
    """A model that writes: `EncoderDecoder`, or one like it."""

    def __call__(self, source: Tensor, written: Tensor) -> Tensor: ...

    def generate(self, source: Tensor, max_length: int) -> Tensor: ...


class SequenceToSequence:
    """Trains a model to write `target`, given `input` and what comes before in `target`.

    A batch is {"input": list of texts, "target": list of texts}; `tokenizer` makes tokens of them.
    The model is one of `transformers` that has an encoder and a decoder, or takes (source, written)
    and returns logits (batch, length, tokens), as `EncoderDecoder` does. Evaluations let the model
    write by itself, up to `max_length` tokens, the most probable at each place; with
    `evaluate_with_generate` false each place sees the right ones before it, which is cheaper and
    tells less. The loss is always that of teacher forcing. `metrics` of texts are named as in
    `MetricSet`.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int = 64,
        evaluate_with_generate: bool = True,
        label_smoothing: float = 0.0,
        metrics: Wanted = ("exact_match", "cer"),
    ) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._generates = evaluate_with_generate
        self._label_smoothing = label_smoothing
        self._metrics = MetricSet(metrics, known=OF_TEXTS)
        if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
            raise ConfigError("task.tokenizer needs a token for padding and one for the end")
        self._padding, self._end = int(tokenizer.pad_token_id), int(tokenizer.eos_token_id)
        begin = tokenizer.bos_token_id  # T5 and others begin with padding
        self._begin = self._padding if begin is None else int(begin)

    def prepare(self, batch: Any) -> Batch:
        """Add `source`, `written` and `labels`, int64 of (batch, longest), and `num_targets`."""
        if not isinstance(batch, Mapping) or "input" not in batch:
            raise DataError(
                "task=sequence_to_sequence needs batches {'input': texts, 'target': texts}"
            )
        sources = [self._encode(text) for text in batch["input"]]
        prepared = {**batch, "source": _padded(sources, self._padding)}
        if "target" in batch:
            targets = [self._encode(text) for text in batch["target"]]
            written = [[self._begin, *tokens[:-1]] for tokens in targets]
            prepared["written"] = _padded(written, self._padding)
            prepared["labels"] = _padded(targets, IGNORED)
            prepared["num_targets"] = [len(tokens) for tokens in targets]
        return prepared

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        logits = self._logits(model, batch)
        return StepOutput(self._loss(logits, batch), sum(batch["num_targets"]))

    def metrics(self) -> dict[str, Metric]:
        return {"loss": Mean(), **self._metrics.new()}

    def evaluation_step(
        self, model: nn.Module, batch: Batch, metrics: Mapping[str, Metric]
    ) -> Predictions:
        logits = self._logits(model, batch)
        metrics["loss"].update(self._loss(logits, batch), sum(batch["num_targets"]))
        tokens = self._written(model, batch) if self._generates else logits.argmax(dim=-1)
        texts = self._texts(tokens)
        self._metrics.update(metrics, texts, batch["target"])
        return Predictions(texts, [1.0] * len(texts), list(batch["target"]))

    def predict(self, model: nn.Module, batch: Batch) -> Predictions:
        texts = self._texts(self._written(model, batch))
        return Predictions(texts, [1.0] * len(texts))

    def _encode(self, text: str) -> list[int]:
        return [*self._tokenizer.encode(text, add_special_tokens=False), self._end]

    def _logits(self, model: nn.Module, batch: Batch) -> Tensor:
        if not _is_of_transformers(model):
            return model(batch["source"], batch["written"])
        source = batch["source"]
        return model(
            input_ids=source,
            attention_mask=(source != self._padding).long(),
            decoder_input_ids=batch["written"],
        ).logits

    def _written(self, model: Any, batch: Batch) -> Tensor:
        source = batch["source"]
        if not _is_of_transformers(model):
            return model.generate(source, self._max_length)
        written = model.generate(
            input_ids=source,
            attention_mask=(source != self._padding).long(),
            max_new_tokens=self._max_length,
            do_sample=False,
            num_beams=1,
            decoder_start_token_id=self._begin,
            pad_token_id=self._padding,
            eos_token_id=self._end,
        )
        return written[:, 1:]

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        return functional.cross_entropy(
            logits.float().flatten(0, 1),
            batch["labels"].flatten(),
            ignore_index=IGNORED,
            label_smoothing=self._label_smoothing,
        )

    def _texts(self, tokens: Tensor) -> list[str]:
        rows = [row[: row.index(self._end)] if self._end in row else row for row in tokens.tolist()]
        return [self._tokenizer.decode(row, skip_special_tokens=True) for row in rows]


def _is_of_transformers(model: nn.Module) -> bool:
    return bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


def _padded(rows: list[list[int]], padding: int) -> Tensor:
    width = max(map(len, rows), default=0)
    return torch.tensor([row + [padding] * (width - len(row)) for row in rows], dtype=torch.int64)

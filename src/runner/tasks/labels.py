"""What labels in a batch of a model with a loss of its own are: how they count, read and compare.

A label of -100 does not count, as in torch's losses and everywhere in `transformers`.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from runner.data.characters import Tokenizer
from runner.errors import DataError

IGNORED = -100


class Labels(Protocol):
    """One kind of labels."""

    def counts(self, labels: Tensor) -> list[int]:
        """Return how many labels of each sample the model's loss is the mean of."""
        ...

    @property
    def default_metrics(self) -> Sequence[str]: ...

    @property
    def are_tokens(self) -> bool: ...  # whether exp of the loss, the perplexity, says something

    def pairs(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (predicted, label) of what counts, for metrics, two tensors of one length."""
        ...

    def predicted(
        self, model: nn.Module, logits: Tensor, labels: Tensor | None
    ) -> tuple[list[str], list[float]]:
        """Return a readable prediction and a confidence for each sample."""
        ...

    def readable(self, model: nn.Module, labels: Tensor) -> list[str]: ...


class TokenLabels:
    """A token for each place of the sequence: (batch, length); logits (batch, length, tokens).

    `shift` says that the logits at a place are for the label of the next one, as in causal language
    models, which leave the first label out of their loss.
    """

    default_metrics = ()
    are_tokens = True

    def __init__(self, tokenizer: Tokenizer | None, *, shift: bool) -> None:
        self._tokenizer = tokenizer
        self._shift = int(shift)

    def counts(self, labels: Tensor) -> list[int]:
        return (labels[:, self._shift :] != IGNORED).sum(dim=1).tolist()

    def pairs(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        last = logits.shape[1] - self._shift
        wanted = labels[:, self._shift :]
        counts = wanted != IGNORED
        return logits[:, :last].argmax(dim=-1)[counts], wanted[counts]

    def predicted(
        self, model: nn.Module, logits: Tensor, labels: Tensor | None
    ) -> tuple[list[str], list[float]]:
        del model
        last = logits.shape[1] - (self._shift if labels is not None else 0)
        log_probabilities, best = logits[:, :last].float().log_softmax(dim=-1).max(dim=-1)
        counts = torch.ones_like(best, dtype=torch.bool)
        if labels is not None:
            counts = labels[:, self._shift :] != IGNORED
        total = (log_probabilities * counts).sum(dim=1)
        confidences = (total / counts.sum(dim=1).clamp(min=1)).exp()
        return self._texts(best.masked_fill(~counts, IGNORED)), confidences.tolist()

    def readable(self, model: nn.Module, labels: Tensor) -> list[str]:
        del model
        return self._texts(labels[:, self._shift :])

    def _texts(self, tokens: Tensor) -> list[str]:
        rows = [[token for token in row if token != IGNORED] for row in tokens.tolist()]
        return [read_tokens(self._tokenizer, row) for row in rows]


class ClassLabels:
    """One class a sample: (batch,); logits (batch, classes)."""

    default_metrics = ("accuracy",)
    are_tokens = False

    def __init__(self, class_names: Sequence[str] | None) -> None:
        self._class_names = class_names

    def counts(self, labels: Tensor) -> list[int]:
        if labels.numel() != len(labels):
            raise DataError(
                f"task.labels=classes: one class a sample, got labels {tuple(labels.shape)}: for "
                "several classes a sample use task=supervised with loss bce_with_logits"
            )
        return (labels.view(len(labels)) != IGNORED).long().tolist()

    def pairs(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        labels = labels.view(len(labels))
        counts = labels != IGNORED
        return logits[counts], labels[counts]

    def predicted(
        self, model: nn.Module, logits: Tensor, labels: Tensor | None
    ) -> tuple[list[str], list[float]]:
        del labels
        probabilities, best = logits.float().softmax(dim=-1).max(dim=-1)
        return self._named(model, best), probabilities.tolist()

    def readable(self, model: nn.Module, labels: Tensor) -> list[str]:
        return self._named(model, labels.view(len(labels)))

    def _named(self, model: nn.Module, classes: Tensor) -> list[str]:
        names = self._class_names
        if names is None:  # what a model of transformers knows of its classes
            names = getattr(getattr(model, "config", None), "id2label", None)
        numbers = classes.tolist()
        return [str(n) if names is None or n == IGNORED else str(names[n]) for n in numbers]


class ValueLabels:
    """Numbers for each sample: (batch,) or (batch, numbers), and logits likewise."""

    default_metrics = ()
    are_tokens = False

    def counts(self, labels: Tensor) -> list[int]:
        return [labels[0].numel()] * len(labels) if len(labels) else []

    def pairs(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return logits.reshape(labels.shape), labels

    def predicted(
        self, model: nn.Module, logits: Tensor, labels: Tensor | None
    ) -> tuple[list[str], list[float]]:
        del labels
        return self.readable(model, logits), [1.0] * len(logits)

    def readable(self, model: nn.Module, labels: Tensor) -> list[str]:
        del model
        rows = labels.reshape(len(labels), -1).tolist()
        return [" ".join(f"{value:.4g}" for value in row) for row in rows]


def read_tokens(tokenizer: Tokenizer | None, tokens: list[int]) -> str:
    """Return the text of `tokens`; without a tokenizer their numbers."""
    if tokenizer is None:
        return " ".join(map(str, tokens))
    return tokenizer.decode(tokens, skip_special_tokens=True)

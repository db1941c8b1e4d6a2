"""Metrics of text against text: character error rate and the share of texts wholly right."""

from collections.abc import Sequence

import torch
from torch import Tensor


class CharacterErrorRate:
    """Edits needed to turn every prediction into its target, over the characters of all targets."""

    def __init__(self) -> None:
        self._edits = 0
        self._characters = 0

    def update(self, predicted: Sequence[str], targets: Sequence[str]) -> None:
        for text, target in zip(predicted, targets, strict=True):
            self._edits += edit_distance(text, target)
            self._characters += len(target)

    def state(self) -> Tensor:
        return torch.tensor([self._edits, self._characters], dtype=torch.float64)

    def load(self, state: Tensor) -> None:
        self._edits, self._characters = (int(value) for value in state.tolist())

    def compute(self) -> float:
        """Return edits / characters (may exceed 1), NaN without any target character."""
        return self._edits / self._characters if self._characters else float("nan")


class WordErrorRate(CharacterErrorRate):
    """Edits of whole words, apart by spaces, over the words of all targets."""

    def update(self, predicted: Sequence[str], targets: Sequence[str]) -> None:
        for text, target in zip(predicted, targets, strict=True):
            self._edits += edit_distance(text.split(), target.split())
            self._characters += len(target.split())


class WholeTextAccuracy:
    """The share of texts predicted without any mistake."""

    larger_is_better = True

    def __init__(self) -> None:
        self._right = 0
        self._texts = 0

    def update(self, predicted: Sequence[str], targets: Sequence[str]) -> None:
        pairs = zip(predicted, targets, strict=True)
        self._right += sum(text == target for text, target in pairs)
        self._texts += len(targets)

    def state(self) -> Tensor:
        return torch.tensor([self._right, self._texts], dtype=torch.float64)

    def load(self, state: Tensor) -> None:
        self._right, self._texts = (int(value) for value in state.tolist())

    def compute(self) -> float:
        """Return right texts / texts, NaN without any text."""
        return self._right / self._texts if self._texts else float("nan")


def edit_distance(text: Sequence[str], target: Sequence[str]) -> int:
    """Return the least number of symbols to insert, delete or replace to get `target`."""
    if text == target:
        return 0
    distances = list(
        range(len(target) + 1)
    )  # from the prefix of text read so far to each of target
    for row, symbol in enumerate(text, start=1):
        diagonal, distances[0] = distances[0], row
        for column, wanted in enumerate(target, start=1):
            replaced = diagonal + (symbol != wanted)
            diagonal = distances[column]
            distances[column] = min(replaced, diagonal + 1, distances[column - 1] + 1)
    return distances[-1]

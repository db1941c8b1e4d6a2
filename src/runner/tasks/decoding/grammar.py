"""`Grammar`: which texts may be read, such as DDLDDDDD, and the best path that spells one."""

from collections.abc import Sequence

import numpy as np

from runner.data.text_pattern import PLACES, choices, impossible_place
from runner.errors import ConfigError
from runner.tasks.decoding.greedy import BLANK

Paths = tuple[np.ndarray, np.ndarray]  # classes (batch, time), log-probability (batch,)


class Grammar:
    """Texts of one pattern or of one of several; a pattern is as in data/text_pattern.py.

    `patterns` has a table (places, classes) for each: True where a class may stand.
    """

    def __init__(self, patterns: str | Sequence[str], alphabet: str) -> None:
        texts = _texts_of(patterns)
        self.patterns = [_table(text, alphabet) for text in dict.fromkeys(texts)]
        self._allowed = [[set(choices(p, alphabet)) for p in text] for text in texts]

    def admits(self, text: str) -> bool:
        """Return whether `text` is one of the grammar's."""
        return any(
            len(text) == len(places) and all(map(set.__contains__, places, text))
            for places in self._allowed
        )

    def best_paths(self, log_probabilities: np.ndarray) -> np.ndarray:
        """Return of each sample the most probable path that spells a text of the grammar.

        Takes finite (time, batch, classes), returns classes (batch, time). ConfigError if no text
        of the grammar fits into the frames.
        """
        found = [best_spellings(log_probabilities, pattern) for pattern in self.patterns]
        scores = np.stack([score for _, score in found])  # (patterns, batch)
        if np.isneginf(scores.max(axis=0)).any():
            raise ConfigError(
                f"no text of task.grammar fits into the {len(log_probabilities)} frames that the "
                "model gives: use wider pictures (data.preprocessor.width), a model that keeps "
                "more frames, or another grammar"
            )
        paths = np.stack([path for path, _ in found])
        return paths[scores.argmax(axis=0), np.arange(paths.shape[1])]


def best_spellings(log_probabilities: np.ndarray, pattern: np.ndarray) -> Paths:
    """Find by dynamic programming (Viterbi, 1967) the best paths that spell one pattern.

    A path is, after each frame, at a number of symbols spelled and at the class it saw last.
    """
    num_frames, num_samples, num_classes = log_probabilities.shape
    barred = np.where(pattern, 0.0, -np.inf)  # (places, classes)
    score = np.full((num_samples, len(pattern) + 1, num_classes), -np.inf)
    score[:, 0, BLANK] = 0.0
    trace = _Trace(num_frames, score.shape)
    for time, frame in enumerate(log_probabilities):
        best, first, second_best, second = _two_best(score)
        # A symbol that stands before itself comes after another class, a blank for instance.
        is_again = first[:, :-1, None] == np.arange(num_classes)
        enter = np.where(is_again, second_best[:, :-1, None], best[:, :-1, None]) + barred
        trace.first[time], trace.second[time] = first, second
        trace.is_new[time, :, 1:] = enter > score[:, 1:]
        score[:, 1:] = np.maximum(score[:, 1:], enter)
        score[:, :, BLANK] = best
        score += frame[:, None, :]
    last = score[:, -1].argmax(axis=-1)
    return trace.back_from(last), score[:, -1].max(axis=-1)


class _Trace:
    """Where the best path to each place and class came from, frame by frame."""

    def __init__(self, num_frames: int, shape: tuple[int, int, int]) -> None:
        self.first = np.zeros((num_frames, *shape[:2]), dtype=np.int64)  # the class before a frame
        self.second = np.zeros_like(self.first)  # the best one but that
        self.is_new = np.zeros((num_frames, *shape), dtype=bool)  # a symbol began here

    def back_from(self, classes: np.ndarray) -> np.ndarray:
        """Return the paths (batch, time) that end at the last place with `classes`."""
        samples = np.arange(len(classes))
        places = np.full(len(classes), self.first.shape[2] - 1)
        path = np.zeros((len(self.first), len(classes)), dtype=np.int64)
        for time in range(len(path) - 1, -1, -1):
            path[time] = classes
            is_new = self.is_new[time, samples, places, classes] & (classes != BLANK)
            places = places - is_new
            first = self.first[time, samples, places]
            second = self.second[time, samples, places]
            before = np.where(is_new & (first == classes), second, first)
            classes = np.where(is_new | (classes == BLANK), before, classes)
        return path.T


def _two_best(score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the best class of each place with its score, and the best but that one."""
    first = score.argmax(axis=-1)
    best = np.take_along_axis(score, first[..., None], axis=-1)[..., 0]
    others = score.copy()
    np.put_along_axis(others, first[..., None], -np.inf, axis=-1)
    second = others.argmax(axis=-1)
    second_best = np.take_along_axis(others, second[..., None], axis=-1)[..., 0]
    return best, first, second_best, second


def _texts_of(patterns: str | Sequence[str]) -> list[str]:
    texts = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(
            f"task.grammar must be a text such as DDLDDDDD, or a list of them, got {patterns!r}"
        )
    if not texts or not all(texts):
        raise ConfigError(
            f"task.grammar is empty: one character a place, such as DDLDDDDD ({PLACES}), or null "
            "for any text"
        )
    return list(texts)


def _table(pattern: str, alphabet: str) -> np.ndarray:
    if place := impossible_place(pattern, alphabet):
        raise ConfigError(
            f"task.grammar {pattern!r}: no symbol of task.alphabet {alphabet!r} can stand at "
            f"{place!r} ({PLACES})"
        )
    table = np.zeros((len(pattern), len(alphabet) + 1), dtype=bool)
    for row, place in zip(table, pattern, strict=True):
        row[[alphabet.index(symbol) + 1 for symbol in choices(place, alphabet)]] = True
    return table

"""The texts that plates carry: what is possible, drawn at random, and never in two splits."""

import hashlib
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from runner.data.text_pattern import PLACES, choices, impossible_place
from runner.errors import DataError

PERSIAN_DIGITS = "۰۱۲۳۴۵۶۷۸۹"
PERSIAN_LETTERS = "بتجدژسصطعقلمنهوی"
PERSIAN_ALPHABET = PERSIAN_DIGITS + PERSIAN_LETTERS

# Shares of all possible texts, in thousandths: which split a text is in depends on its hash alone.
_SPLIT_BOUNDS = {"train": (0, 900), "evaluation": (900, 950), "test": (950, 1000)}
_BLOCK = 4096  # texts drawn at a time
_MAX_BLOCKS_WITHOUT_TEXT = 50


@dataclass(frozen=True, kw_only=True)
class PlateFormat:
    """Which symbol may stand where; `pattern` has one character a place, as in text_pattern.py."""

    alphabet: str = PERSIAN_ALPHABET
    pattern: str = "NNLNNNND"

    def __post_init__(self) -> None:
        if len(set(self.alphabet)) != len(self.alphabet):
            raise DataError(f"data.alphabet has a symbol twice: {self.alphabet!r}")
        if not self.pattern:
            raise DataError("data.format is empty; one character a place, such as 'DDLDDDDD'")
        if place := impossible_place(self.pattern, self.alphabet):
            raise DataError(
                f"data.format {self.pattern!r}: no symbol of data.alphabet can stand at "
                f"{place!r} ({PLACES})"
            )

    def draw_texts(self, split: str, count: int, *, seed: int) -> list[str]:
        """Return `count` random texts of a split; a longer list begins with the shorter one."""
        rng = np.random.default_rng([seed, sorted(_SPLIT_BOUNDS).index(split)])
        texts: list[str] = []
        empty_blocks = 0
        while len(texts) < count:
            columns = [list(choices(place, self.alphabet)) for place in self.pattern]
            drawn = [rng.integers(0, len(column), _BLOCK) for column in columns]
            rows = zip(*drawn, strict=True)
            block = ["".join(c[i] for c, i in zip(columns, row, strict=True)) for row in rows]
            kept = [text for text in block if split_of(text) == split]
            texts += kept
            empty_blocks = 0 if kept else empty_blocks + 1
            if empty_blocks >= _MAX_BLOCKS_WITHOUT_TEXT:
                raise DataError(
                    f"data.format {self.pattern!r} has too few texts for a {split} split of its "
                    "own; use a longer format or a larger alphabet"
                )
        return texts[:count]


def split_of(text: str) -> str:
    """Return the one split in which `text` may occur: train (90%), evaluation (5%) or test (5%).

    It follows from the text alone, so plates of another seed or size of set keep out of it as well.
    """
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8, person=b"plates").digest()
    bucket = int.from_bytes(digest, "big") % 1000
    return next(name for name, (low, high) in _SPLIT_BOUNDS.items() if low <= bucket < high)


def reverse_digit_groups(text: str) -> str:
    """Return `text` with each run of digits written backwards.

    For labels in an order other than the one seen: 12B345 becomes 21B543.
    """
    groups = ["".join(group) for _, group in groupby(text, key=str.isdigit)]
    return "".join(group[::-1] if group[0].isdigit() else group for group in groups)

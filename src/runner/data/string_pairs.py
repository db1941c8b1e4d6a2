"""`string_pairs`: pairs of texts made by a rule, for sequence-to-sequence models."""

import random
from collections.abc import Callable, Mapping

from runner.data.data import Batch, Data
from runner.errors import DataError, did_you_mean

RULES: Mapping[str, Callable[[str], str]] = {
    "reverse": lambda text: text[::-1],
    "sort": lambda text: "".join(sorted(text)),
    "double": lambda text: "".join(symbol * 2 for symbol in text),
}


class TextPairs:
    """Samples {"input": text, "target": text}."""

    deterministic = True

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    @property
    def fingerprint(self) -> str:
        return repr(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> dict[str, str]:
        source, target = self._pairs[index]
        return {"input": source, "target": target}


def string_pairs(
    *,
    alphabet: str,
    rule: str = "reverse",
    min_length: int = 3,
    max_length: int = 6,
    train_size: int = 8000,
    evaluation_size: int = 500,
    pairs_seed: int = 0,
) -> Data:
    """Return random texts over `alphabet`, each once, with what `rule` makes of them.

    Raises DataError for an unknown rule, or if there are not so many texts.
    """
    if rule not in RULES:
        raise DataError(
            f"data.rule must be one of {', '.join(RULES)}, got '{rule}'{did_you_mean(rule, RULES)}"
        )
    count = train_size + evaluation_size
    possible = sum(len(alphabet) ** length for length in range(min_length, max_length + 1))
    if count > possible // 2:  # so that drawing them does not take for ever
        raise DataError(
            f"data.train_size={train_size} and data.evaluation_size={evaluation_size} are too many "
            f"for the {possible} texts of {min_length} to {max_length} symbols: at most one in two"
        )
    rng = random.Random(pairs_seed)
    texts: dict[str, None] = {}  # a set in the order of drawing
    while len(texts) < count:
        length = rng.randint(min_length, max_length)
        texts["".join(rng.choices(alphabet, k=length))] = None
    pairs = [(text, RULES[rule](text)) for text in texts]
    return Data(
        train=TextPairs(pairs[:train_size]),
        evaluation=TextPairs(pairs[train_size:]),
        collate=collate_pairs,
    )


def collate_pairs(samples: list[dict[str, str]]) -> Batch:
    """Return {"input": list of texts, "target": list of texts}."""
    return {key: [sample[key] for sample in samples] for key in samples[0]}

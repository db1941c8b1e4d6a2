"""`opinions`: short sentences that praise or complain, made from templates, as classified texts."""

import random
from collections.abc import Iterable

import torch
from torch.utils.data import TensorDataset

from runner.data.data import Batch, Data
from runner.errors import DataError

CLASS_NAMES = ("complaint", "praise")
NOUNS = ("film", "meal", "room", "song", "walk", "book", "play", "tour")
ADVERBS = ("really", "quite", "very", "rather")
ADJECTIVES = {
    "complaint": ("bad", "boring", "awful", "ugly", "dull", "weak"),
    "praise": ("good", "lovely", "great", "fine", "clever", "fresh"),
}
_WORDS = ("the", "was", "not", *NOUNS, *ADVERBS, *(w for ws in ADJECTIVES.values() for w in ws))
VOCABULARY = ("", *_WORDS)  # token 0 is padding
MAX_WORDS = 6


class Words:
    """Turns a sentence of known words into their numbers, and back."""

    pad_token_id = 0
    bos_token_id = eos_token_id = None

    def __init__(self) -> None:
        self._token_of = {word: number for number, word in enumerate(VOCABULARY)}

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:  # noqa: ARG002
        """Return the number of each word; DataError for one that is not known."""
        try:
            return [self._token_of[word] for word in text.split()]
        except KeyError as error:
            raise DataError(f"'{text}' holds the unknown word {error}") from None

    def decode(self, token_ids: Iterable[int], *, skip_special_tokens: bool = True) -> str:  # noqa: ARG002
        return " ".join(VOCABULARY[token] for token in token_ids if token)


def opinions(*, train_size: int = 600, evaluation_size: int = 150, text_seed: int = 0) -> Data:
    """Return sentences such as "the film was not very good", each once, with their class.

    A batch is {"input_ids", "attention_mask": (batch, 6), "labels": (batch,)}; `not` turns the
    class round, so no single word tells it. Raises DataError if there are not so many sentences.
    """
    sentences = _sentences()
    if train_size + evaluation_size > len(sentences):
        raise DataError(
            f"data.train_size={train_size} and data.evaluation_size={evaluation_size}: there are "
            f"{len(sentences)} sentences in all"
        )
    random.Random(text_seed).shuffle(sentences)
    words = Words()
    tokens = torch.zeros(len(sentences), MAX_WORDS, dtype=torch.int64)
    for row, (sentence, _) in enumerate(sentences):
        encoded = words.encode(sentence)
        tokens[row, : len(encoded)] = torch.tensor(encoded)
    classes = torch.tensor([label for _, label in sentences])
    end = train_size + evaluation_size
    return Data(
        train=TensorDataset(tokens[:train_size], classes[:train_size]),
        evaluation=TensorDataset(tokens[train_size:end], classes[train_size:end]),
        collate=_collate,
    )


def _sentences() -> list[tuple[str, int]]:
    return [
        (f"the {noun} was {negation}{adverb}{adjective}", label ^ bool(negation))
        for label, class_name in enumerate(CLASS_NAMES)
        for adjective in ADJECTIVES[class_name]
        for noun in NOUNS
        for negation in ("", "not ")
        for adverb in ("", *(f"{adverb} " for adverb in ADVERBS))
    ]


def _collate(samples: list[tuple[torch.Tensor, torch.Tensor]]) -> Batch:
    tokens = torch.stack([tokens for tokens, _ in samples])
    labels = torch.stack([label for _, label in samples])
    return {"input_ids": tokens, "attention_mask": (tokens != 0).long(), "labels": labels}

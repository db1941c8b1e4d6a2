"""`character_text`: blocks of a text, character by character, for a language model."""

import random
from pathlib import Path

import torch
from torch.utils.data import TensorDataset

from runner.data.characters import Characters
from runner.data.data import Batch, Data
from runner.errors import DataError

ARTICLES = ("the", "a", "every", "one")
ADJECTIVES = ("small", "quiet", "green", "old", "early")
NOUNS = ("river", "baker", "train", "cloud", "garden", "teacher")
VERBS = ("finds", "follows", "paints", "hears", "remembers")


def character_text(
    *,
    alphabet: str,
    file: str | None = None,
    num_characters: int = 60_000,
    block_size: int = 48,
    evaluation_fraction: float = 0.1,
    text_seed: int = 0,
) -> Data:
    """Return blocks {"input_ids": (block_size,)} of the UTF-8 text in `file`.

    Without a file, sentences are made by a small grammar: at most `num_characters` of them. The
    last `evaluation_fraction` of the text is for evaluation. Raises DataError.
    """
    text = grammar_text(num_characters, seed=text_seed) if file is None else _read(file)
    tokens = torch.tensor(Characters(alphabet).encode(text))
    blocks = tokens[: len(tokens) // block_size * block_size].view(-1, block_size)
    num_evaluation = int(len(blocks) * evaluation_fraction)
    if not 0 < num_evaluation < len(blocks):
        raise DataError(
            f"data.evaluation_fraction={evaluation_fraction} leaves {num_evaluation} of "
            f"{len(blocks)} blocks of {block_size} characters for evaluation: use another one, a "
            "longer text or a smaller data.block_size"
        )
    return Data(
        train=TensorDataset(blocks[:-num_evaluation]),
        evaluation=TensorDataset(blocks[-num_evaluation:]),
        collate=_collate,
    )


def grammar_text(num_characters: int, *, seed: int = 0) -> str:
    """Return sentences "ARTICLE [ADJECTIVE] NOUN VERB ARTICLE [ADJECTIVE] NOUN." in a row.

    Each choice is uniform, each adjective there in half of the cases.
    """
    rng = random.Random(seed)
    sentences: list[str] = []
    length = 0
    while True:
        sentence = f"{_noun_phrase(rng)} {rng.choice(VERBS)} {_noun_phrase(rng)}. "
        length += len(sentence)
        if length > num_characters:
            return "".join(sentences)
        sentences.append(sentence)


def _noun_phrase(rng: random.Random) -> str:
    words = [rng.choice(ARTICLES), rng.choice(NOUNS)]
    if rng.random() < 0.5:
        words.insert(1, rng.choice(ADJECTIVES))
    return " ".join(words)


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"data.file={file} cannot be read: {error}") from error


def _collate(samples: list[tuple[torch.Tensor]]) -> Batch:
    return {"input_ids": torch.stack([tokens for (tokens,) in samples])}

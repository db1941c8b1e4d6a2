"""From what a CTC model says frame by frame to texts: greedily or by beams, under a grammar."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from runner.config.checks import at_least, refuse
from runner.tasks.decoding.beam import search
from runner.tasks.decoding.grammar import Grammar
from runner.tasks.decoding.greedy import BLANK, Decoded, decode_greedily, read_path

Spelling = list[int] | None  # the classes of a text; None where none was found
Decoder = Callable[[Tensor], Decoded]  # takes log-probabilities (time, batch, classes)

_LEAST = -1e5  # a log-probability below this, or none, counts as this: sums stay finite
_NO_MEAN = 0  # torch.ctc_loss's number for reduction="none"


def decoder_of(
    alphabet: str, *, beam_width: int = 1, grammar: str | Sequence[str] | None = None
) -> Decoder:
    """Return how texts are read; ConfigError for a width below 1 or an impossible grammar.

    `beam_width` is the number of texts that are followed from frame to frame, 1: none, the most
    probable class of every frame counts, or under a grammar the most probable classes that spell a
    text of it.
    """
    refuse(at_least("task.beam_width", beam_width, 1))
    rules = None if grammar is None else Grammar(grammar, alphabet)
    if beam_width > 1:
        return partial(decode_by_beams, alphabet=alphabet, width=beam_width, grammar=rules)
    if rules is not None:
        return partial(decode_best_paths, alphabet=alphabet, grammar=rules)
    return partial(decode_greedily, alphabet=alphabet)


def decode_best_paths(log_probabilities: Tensor, alphabet: str, *, grammar: Grammar) -> Decoded:
    """Return as `decode_greedily` the text and the confidence of each sample, under `grammar`.

    Greedy readings that the grammar admits stand: nothing is more probable.
    """
    texts, confidences = decode_greedily(log_probabilities, alphabet)
    wrong = [number for number, text in enumerate(texts) if not grammar.admits(text)]
    if wrong:
        scores = _on_host(log_probabilities[:, wrong])
        for column, (number, path) in enumerate(
            zip(wrong, grammar.best_paths(scores), strict=True)
        ):
            log_best = scores[np.arange(len(path)), column, path]
            texts[number], confidences[number] = read_path(path, log_best, alphabet)
    return texts, confidences


def decode_by_beams(
    log_probabilities: Tensor, alphabet: str, *, width: int, grammar: Grammar | None = None
) -> Decoded:
    """Return of each sample the most probable text that prefix beam search finds.

    The confidence is the probability that the model gives the text, over all paths that spell it.
    Each pattern of a grammar is searched for itself.
    """
    scores = _on_host(log_probabilities)
    patterns = [None] if grammar is None else grammar.patterns
    found = [search(scores, width, pattern) for pattern in patterns]
    if grammar is not None:
        found.append(_spelled_where_lost(scores, found, grammar))
    likely = np.stack([_log_probability_of(scores, texts) for texts in found])
    texts = [
        "".join(alphabet[number - 1] for number in found[best][sample] or [])
        for sample, best in enumerate(likely.argmax(axis=0))
    ]
    return texts, np.minimum(np.exp(likely.max(axis=0)), 1.0).tolist()


def _spelled_where_lost(
    scores: np.ndarray, found: list[list[Spelling]], grammar: Grammar
) -> list[Spelling]:
    """Return what the best path spells for the samples of which no beam has come to an end."""
    lost = [
        number for number, of in enumerate(zip(*found, strict=True)) if of.count(None) == len(of)
    ]
    spelled: list[Spelling] = [None] * scores.shape[1]
    if lost:
        for number, path in zip(lost, grammar.best_paths(scores[:, lost]), strict=True):
            starts = np.diff(path, prepend=-1) != 0
            spelled[number] = path[starts & (path != BLANK)].tolist()
    return spelled


def _log_probability_of(scores: np.ndarray, texts: list[Spelling]) -> np.ndarray:
    """Return the log-probability of each sample's text, all paths added up; -inf of None."""
    longest = max(len(text or []) for text in texts)
    targets = torch.tensor([(text or []) + [BLANK] * (longest - len(text or [])) for text in texts])
    lengths = [len(scores)] * len(texts), [len(text or []) for text in texts]
    loss = torch.ctc_loss(torch.from_numpy(scores), targets.long(), *lengths, BLANK, _NO_MEAN)
    return np.where([text is None for text in texts], -np.inf, -loss.numpy())


def _on_host(log_probabilities: Tensor) -> np.ndarray:
    scores = log_probabilities.detach().cpu().double().numpy()
    return np.nan_to_num(scores, nan=_LEAST, neginf=_LEAST)

"""Greedy decoding of CTC: the most probable class of every frame."""

import numpy as np
from torch import Tensor, stack

BLANK = 0  # class 0 means "no symbol here"; symbol i of the alphabet is class i + 1

Decoded = tuple[list[str], list[float]]  # the text and the confidence (0-1) of each sample


def decode_greedily(
    log_probabilities: Tensor,  # (time, batch, classes)
    alphabet: str,
) -> Decoded:
    """Return the text and the confidence of each sample, with one copy from the device.

    The best class of every frame is taken, runs of one class become one symbol, blanks go. The
    confidence is the product, over the symbols read, of the highest probability within the symbol's
    run; for an empty text it is the lowest probability of a blank.
    """
    best, classes = log_probabilities.detach().max(dim=-1)
    both = stack([best.float(), classes.float()]).cpu().numpy()  # (2, time, batch)
    log_best, path = both[0].T, both[1].T.astype(np.int64)  # (batch, time) each
    decoded = [read_path(*sample, alphabet) for sample in zip(path, log_best, strict=True)]
    return [text for text, _ in decoded], [confidence for _, confidence in decoded]


def read_path(path: np.ndarray, log_best: np.ndarray, alphabet: str) -> tuple[str, float]:
    """Return what the classes in `path`, one a frame, spell, and the confidence as above."""
    starts = np.flatnonzero(np.diff(path, prepend=-1))  # the first frame of every run
    highest = np.maximum.reduceat(log_best, starts)
    is_symbol = path[starts] != BLANK
    text = "".join(alphabet[number - 1] for number in path[starts[is_symbol]])
    log_confidence = highest[is_symbol].sum() if text else log_best.min()
    return text, min(1.0, float(np.exp(log_confidence)))

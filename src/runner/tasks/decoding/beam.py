"""Prefix beam search for CTC: the most probable texts, each over all the paths that spell it.

Graves, "Supervised Sequence Labelling with Recurrent Neural Networks" (2012), 7.5; in the form of
Hannun et al., "First-Pass Large Vocabulary Continuous Speech Recognition" (2014).
"""

from dataclasses import dataclass

import numpy as np

from runner.tasks.decoding.greedy import BLANK

_DEAD = -np.inf
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no bit of a prefix's key is lost


@dataclass(frozen=True, slots=True)
class _Beams:
    """The prefixes that are followed, (batch, width) each; their order means nothing.

    A path that spells a prefix ends in a blank or in the prefix's last symbol: `blank` and `symbol`
    are the log-probabilities of all paths of either kind.
    """

    blank: np.ndarray
    symbol: np.ndarray
    last: np.ndarray  # class of the last symbol; 0 of the empty prefix, and of a dead one
    length: np.ndarray
    key: np.ndarray  # the same for the same prefix (64 bits, so equal by chance alone never)

    @property
    def total(self) -> np.ndarray:
        return np.logaddexp(self.blank, self.symbol)


def search(
    log_probabilities: np.ndarray,  # (time, batch, classes), finite
    width: int,
    pattern: np.ndarray | None = None,  # (places, classes): True where a class may stand
) -> list[list[int] | None]:
    """Return the classes of each sample's most probable text among the `width` that were followed.

    With a pattern only texts that spell it are followed; None where they all came to nothing.
    """
    num_frames, num_samples, num_classes = log_probabilities.shape
    beams = _empty(num_samples, width)
    missing = None if pattern is None else _missing(pattern, never=num_frames)
    parents = np.zeros((num_frames, num_samples, width), dtype=np.int64)
    chosen = np.zeros_like(parents)
    for time, frame in enumerate(log_probabilities):
        scores, stay_blank, stay_symbol = _continuations(beams, frame)
        if missing is not None:
            left = num_frames - 1 - time
            scores += np.where(missing <= left, 0.0, _DEAD)[beams.length]
        flat = scores.reshape(num_samples, width * num_classes)
        best = np.argpartition(-flat, width - 1, axis=1)[:, :width]
        parents[time], chosen[time] = np.divmod(best, num_classes)
        beams = _advanced(
            beams,
            (stay_blank, stay_symbol),
            parent=parents[time],
            symbol=chosen[time],
            score=np.take_along_axis(flat, best, axis=1),
        )
    return _texts(beams.total, parents, chosen)


def _empty(num_samples: int, width: int) -> _Beams:
    """Return beams of which the first is the empty prefix, and the others are dead."""
    shape = num_samples, width
    blank = np.full(shape, _DEAD)
    blank[:, 0] = 0.0
    zeros = np.zeros(shape, dtype=np.int64)
    return _Beams(blank, np.full(shape, _DEAD), zeros, zeros, zeros.astype(np.uint64))


def _missing(pattern: np.ndarray, *, never: int) -> np.ndarray:
    """Return how many symbols are missing after a class was seen, (spelled so far, classes)."""
    places = len(pattern)
    missing = np.full((places + 1, pattern.shape[1]), never)
    missing[:, BLANK] = np.arange(places, -1, -1)  # nothing was added
    missing[:-1][pattern] = np.broadcast_to(missing[1:, BLANK, None], pattern.shape)[pattern]
    return missing


def _continuations(beams: _Beams, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the scores (batch, width, classes) of every prefix with every symbol added.

    At class 0 it stays as it is; the paths of that follow, those ending in a blank and in a symbol.
    """
    total = beams.total
    of_last = np.take_along_axis(frame, beams.last, axis=1)
    scores = total[:, :, None] + frame[:, None, :]
    # The same symbol once more begins after a blank only; without one it is the old one that lasts.
    np.put_along_axis(scores, beams.last[:, :, None], (beams.blank + of_last)[:, :, None], axis=2)
    stay_blank = total + frame[:, BLANK, None]
    stay_symbol = beams.symbol + of_last
    # A prefix that is followed already gets the paths of its parent with the symbol added.
    sample, child, parent = np.nonzero(_is_parent(beams))
    added = beams.last[sample, child]
    grown = scores[sample, parent, added]
    stay_symbol[sample, child] = np.logaddexp(stay_symbol[sample, child], grown)
    scores[sample, parent, added] = _DEAD
    scores[:, :, BLANK] = np.logaddexp(stay_blank, stay_symbol)
    return scores, stay_blank, stay_symbol


def _is_parent(beams: _Beams) -> np.ndarray:
    """Return (batch, width, width): whether the second is the first without its last symbol."""
    grown = _grown(beams.key[:, None, :], beams.last[:, :, None])
    is_alive = ~np.isneginf(beams.total)
    return (
        (beams.key[:, :, None] == grown) & (beams.last > BLANK)[:, :, None] & is_alive[:, None, :]
    )


def _grown(key: np.ndarray, symbol: np.ndarray) -> np.ndarray:
    return key * _MULTIPLIER + symbol.astype(np.uint64)


def _advanced(
    beams: _Beams,
    stays: tuple[np.ndarray, np.ndarray],
    *,
    parent: np.ndarray,
    symbol: np.ndarray,
    score: np.ndarray,
) -> _Beams:
    """Return the beams that were chosen: `parent` with `symbol` added, or as it was."""

    def of_parent(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, parent, axis=1)

    stays_so, is_dead = symbol == BLANK, np.isneginf(score)
    stay_blank, stay_symbol = (of_parent(values) for values in stays)
    last = np.where(stays_so, of_parent(beams.last), symbol)
    key = of_parent(beams.key)
    return _Beams(
        blank=np.where(stays_so & ~is_dead, stay_blank, _DEAD),
        symbol=np.where(is_dead, _DEAD, np.where(stays_so, stay_symbol, score)),
        last=np.where(is_dead, BLANK, last),  # so that nothing is taken for it again
        length=np.where(is_dead, 0, of_parent(beams.length) + ~stays_so),
        key=np.where(stays_so, key, _grown(key, symbol)),
    )


def _texts(total: np.ndarray, parents: np.ndarray, chosen: np.ndarray) -> list[list[int] | None]:
    """Go back from the best beam of each sample."""
    samples = np.arange(len(total))
    beam = total.argmax(axis=1)
    is_dead = np.isneginf(total[samples, beam])
    path = np.zeros((len(parents), len(total)), dtype=np.int64)
    for time in range(len(path) - 1, -1, -1):
        path[time] = chosen[time, samples, beam]
        beam = parents[time, samples, beam]
    return [
        None if dead else classes[classes != BLANK].tolist()
        for classes, dead in zip(path.T, is_dead, strict=True)
    ]

"""`Tried`: which combinations a search has proposed, and whether there is anything left to try."""

import itertools
from collections.abc import Mapping

from runner.config.space import Space, size_of

MOST_REPEATS = 20  # a sampler that has found its favourites goes on proposing them


class Tried:
    """Counts each combination once, at most `limit` of them; equal proposals are repeats."""

    def __init__(self, spaces: Mapping[str, Space], *, limit: int) -> None:
        self._spaces = spaces
        self._limit = limit
        self._seen: set[tuple[tuple[str, str], ...]] = set()
        self._repeats = 0
        self.num_combinations = size_of(spaces)  # None: too many to count

    def add(self, params: Mapping[str, str]) -> None:
        """Count a proposal, given as value texts by key."""
        combination = _frozen(params)
        self._repeats = self._repeats + 1 if combination in self._seen else 0
        self._seen.add(combination)

    @property
    def num_left(self) -> int:
        """How many more combinations there may be."""
        left = self._limit - len(self._seen)
        if self.num_combinations is not None:
            left = min(left, self.num_combinations - len(self._seen))
        return max(0, left)

    @property
    def has_all(self) -> bool:
        """Whether every combination that there is was tried."""
        return self.num_combinations is not None and len(self._seen) >= self.num_combinations

    @property
    def is_repeating(self) -> bool:
        """Whether the sampler has proposed nothing new for a while."""
        return self._repeats >= MOST_REPEATS

    def untried(self) -> dict[str, str] | None:
        """Return a combination that was never proposed; None if they cannot be counted."""
        self._repeats = 0
        if self.num_combinations is None:
            return None
        texts = {
            key: [space.text_of(value) for value in space.all_values()]  # type: ignore[arg-type]
            for key, space in self._spaces.items()
        }
        for values in itertools.product(*texts.values()):
            params = dict(zip(texts, values, strict=True))
            if _frozen(params) not in self._seen:
                return params
        return None


def _frozen(params: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(params.items()))

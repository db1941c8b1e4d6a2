"""The best scores so far, and whether to go on looking for a better one."""

import math
from collections.abc import Collection
from typing import Any

from runner.protocols import check_state_keys

_NUM_SPARE = 100  # steps below the best that are known, should no better one have been saved


def is_worth_saving(score: float, *, above: float | None, below: float | None) -> bool:
    """Return whether a better score lies within the bounds that make it worth a checkpoint."""
    return (above is None or score > above) and (below is None or score < below)


class Best:
    """The best value of one metric, and the `keep` best steps, whose checkpoints are kept.

    `evaluations_since` counts the looks that were not better by more than `min_improvement`.
    """

    def __init__(self, mode: str, *, min_improvement: float = 0.0, keep: int = 1) -> None:
        self._sign = 1.0 if mode == "min" else -1.0
        self._min_improvement = min_improvement
        self._keep = keep
        self.score: float | None = None
        self.step: int | None = None
        self.evaluations_since = 0
        self._ranking: list[list[float]] = []  # [score, step], the best first

    @property
    def value(self) -> float | None:
        """Return the best value there was, be it better by `min_improvement` or less."""
        return self._ranking[0][0] if self._ranking else None

    @property
    def steps(self) -> set[int]:
        """Return the steps whose checkpoints are worth keeping."""
        best = set() if self.step is None or not self._keep else {self.step}
        return best | {int(step) for _, step in self._ranking[: self._keep]}

    def kept_among(self, saved: Collection[int]) -> set[int]:
        """Return the steps in `saved` that are worth keeping: the best of those that are there."""
        there = [int(step) for _, step in self._ranking if step in saved]
        return (self.steps & set(saved)) | set(there[: self._keep])

    def best_among(self, saved: Collection[int]) -> int | None:
        """Return the best step that is in `saved`; None if none is that was worth keeping."""
        if self.step in saved:
            return self.step
        there = [int(step) for _, step in self._ranking if step in saved]
        return there[0] if there and self._keep else None

    def is_better(self, value: float) -> bool:
        """Return whether `value` is better than the best so far."""
        if self.score is None or math.isnan(value):
            return not math.isnan(value)
        return self._sign * (self.score - value) > self._min_improvement

    def update(self, value: float, *, step: int, counts: bool) -> bool:
        """Take a value and return whether its step is worth keeping; a warm-up does not count."""
        if math.isnan(value):
            self.evaluations_since += counts
            return False
        if self.is_better(value):
            self.score, self.step, self.evaluations_since = value, step, 0
        else:
            self.evaluations_since += counts
        ranking = [*self._ranking, [value, step]]
        self._ranking = sorted(ranking, key=lambda entry: self._sign * entry[0])
        del self._ranking[self._keep + _NUM_SPARE :]
        return step in self.steps

    def state_dict(self) -> dict[str, Any]:
        return {
            "score": self.score,
            "step": self.step,
            "evaluations_since": self.evaluations_since,
            "ranking": self._ranking,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_state_keys("best", state, self.state_dict())
        self.score, self.step = state["score"], state["step"]
        self.evaluations_since = state["evaluations_since"]
        self._ranking = [list(entry) for entry in state["ranking"]]

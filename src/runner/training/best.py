"""The best score so far, and whether to go on looking for a better one."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass
class Best:
    """The best value of one metric; `evaluations_since` counts those that were not better."""

    mode: str  # min | max
    min_improvement: float = 0.0
    score: float | None = None
    step: int | None = None
    evaluations_since: int = 0

    def update(self, value: float, *, step: int, counts: bool) -> bool:
        """Take a new value and return whether it is the best; `counts` is false in the warm-up."""
        if self._is_better(value):
            self.score, self.step, self.evaluations_since = value, step, 0
            return True
        self.evaluations_since += counts
        return False

    def state_dict(self) -> dict[str, Any]:
        return {
            "score": self.score,
            "step": self.step,
            "evaluations_since": self.evaluations_since,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.score, self.step = state["score"], state["step"]
        self.evaluations_since = state["evaluations_since"]

    def _is_better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.score is None:
            return True
        gain = self.score - value if self.mode == "min" else value - self.score
        return gain > self.min_improvement

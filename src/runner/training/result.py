"""`Result`: what came of a training."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Result:
    """The best score (of `trainer.best_metric`) and the last values.

    `history` has every logged value as (step, value) pairs, {"train.loss": [...], ...}: `Trainer`
    reads it from the journal.
    """

    step: int
    score: float | None
    best_step: int | None
    is_pruned: bool = False  # ended early: it fell behind other runs of a search
    evaluation: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    history: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

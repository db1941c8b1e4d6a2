"""`Pruning`: what the job of a search must know to end a run that falls behind the others."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """Plain data that travels to the ranks of a job; rank 0 asks the study."""

    study: Path  # Optuna's journal, which all jobs of the search report to
    name: str  # of the study in it
    trial: int
    pruner: str  # median | hyperband
    warmup: str | None = None  # a duration of training
    startup_trials: int = 5

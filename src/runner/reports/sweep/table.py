"""What a report of a sweep is made of: plain rows, whoever has read them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What came of one run; None is not known."""

    number: int
    label: str  # the overrides as a user types them
    overrides: Mapping[str, str]  # of each swept key its value
    state: str
    step: int = 0
    score: float | None = None
    best_step: int | None = None
    seconds: float | None = None  # from its first start to its last row
    error: str | None = None
    curve: Sequence[tuple[int, float]] = ()  # (step, value) of the best metric
    objectives: Mapping[str, float] = field(default_factory=dict)  # at the best step

    @property
    def has_score(self) -> bool:
        return self.score is not None and math.isfinite(self.score)

    @property
    def is_result(self) -> bool:
        """Whether it may be compared: trained to its end, with a score that is a number."""
        return self.state == "completed" and self.has_score


@dataclass(frozen=True, kw_only=True)
class SweepResults:
    """A sweep and its runs, in any order."""

    name: str
    kind: str  # grid | random | optuna
    command: str
    metric: str
    mode: str  # min | max
    swept: Sequence[str]
    runs: Sequence[RunResult]
    total: int | None = None
    log_scaled: frozenset[str] = frozenset()  # keys that were searched on a logarithmic scale
    objectives: Mapping[str, str] = field(default_factory=dict)  # name -> min | max
    base: Mapping[str, object] = field(default_factory=dict)  # dotted keys of the base config
    code: Mapping[str, int] = field(default_factory=dict)  # states of the code, with their runs
    warnings: Sequence[str] = ()


def ranked(runs: Iterable[RunResult], *, mode: str) -> list[RunResult]:
    """Return the runs that may be compared, best first; of equal ones the first."""
    results = [run for run in runs if run.is_result]
    return sorted(results, key=lambda run: (goodness(run.score or 0.0, mode), run.number))


def unranked(runs: Iterable[RunResult]) -> list[RunResult]:
    """Return the runs that may not be compared, by state and number."""
    return sorted(
        (run for run in runs if not run.is_result), key=lambda run: (run.state, run.number)
    )


def goodness(score: float, mode: str) -> float:
    """Return a figure that is lower for a better score."""
    return score if mode == "min" else -score


def number_in(text: str) -> float | None:
    """Return the number that an override's value stands for, or None for any other value."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def short_label(run: RunResult) -> str:
    """Return the label without the leading parts of keys that are not needed to tell them apart."""
    last = [key.rpartition(".")[2] for key in run.overrides]
    pairs = zip(run.overrides.items(), last, strict=True)
    return " ".join(
        f"{short if last.count(short) == 1 else key}={value}" for (key, value), short in pairs
    )


def values_in_order(texts: Iterable[str]) -> list[str]:
    """Return distinct values: numbers by size, other values as they come, those last."""
    distinct = list(dict.fromkeys(texts))
    numbers = [text for text in distinct if number_in(text) is not None]
    others = [text for text in distinct if number_in(text) is None]
    return sorted(numbers, key=lambda text: number_in(text) or 0.0) + others

"""Whether two groups of runs differ by more than their seeds make them differ."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runner.reports.sweep.statistics import CONFIDENCE, estimate, magnitude, t_quantile

PAIRED = "the paired t test (Student 1908)"
WELCH = "Welch's t test (Welch 1947)"
FEW = 5  # with fewer runs the tests rest on the assumption of a normal distribution alone


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean of the second group minus mean of the first; what is not known is None.

    `p` is the chance of so large a difference between groups that do not differ, `adjusted` the
    same where several differences were looked at together.
    """

    first: str
    second: str
    metric: str
    mean: float
    counts: tuple[int, int]
    method: str
    half_width: float | None = None  # of its 95% interval, for this difference alone
    p: float | None = None
    adjusted: float | None = None

    @property
    def is_real(self) -> bool:
        """Whether chance makes so large a difference one time in twenty, or less."""
        return self.adjusted is not None and self.adjusted <= 1 - CONFIDENCE


Group = Sequence[tuple[object, float]]  # (seed, value) of each run


def difference(first: Group, second: Group, *, names: tuple[str, str], metric: str) -> Difference:
    """Compare two groups of at least one run each: paired if they have the same seeds, each once.

    Welch's test does not assume that both scatter alike; its degrees of freedom are Satterthwaite's
    (1946). Without two runs on each side, or where nothing scatters, there is no p.
    """
    scale = magnitude(value for _, value in (*first, *second))
    first, second = ([(seed, value / scale) for seed, value in group] for group in (first, second))
    seeds, others = dict(first), dict(second)
    is_paired = seeds.keys() == others.keys() and len(seeds) == len(first) == len(second)
    told = {
        "first": names[0],
        "second": names[1],
        "metric": metric,
        "counts": (len(first), len(second)),
    }
    if is_paired and len(seeds) > 1:
        one = estimate([others[seed] - seeds[seed] for seed in seeds])
        error = (one.deviation or 0.0) / math.sqrt(one.count)
        return _judged(told, PAIRED, one.mean, error, one.count - 1, scale=scale)
    a, b = (estimate([value for _, value in group]) for group in (first, second))
    if a.deviation is None or b.deviation is None:
        return Difference(**told, method=WELCH, mean=scale * (b.mean - a.mean))
    parts = (a.deviation**2 / a.count, b.deviation**2 / b.count)
    error = math.sqrt(sum(parts))
    below = parts[0] ** 2 / (a.count - 1) + parts[1] ** 2 / (b.count - 1)
    degrees = sum(parts) ** 2 / below if below else 1.0
    return _judged(told, WELCH, b.mean - a.mean, error, degrees, scale=scale)


def adjusted(differences: Sequence[Difference]) -> list[Difference]:
    """Return them with p values adjusted for their number (Holm 1979), in the same order."""
    tested = sorted(
        (index for index, each in enumerate(differences) if each.p is not None),
        key=lambda index: differences[index].p or 0.0,
    )
    found = list(differences)
    highest = 0.0
    for rank, index in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * (differences[index].p or 0.0)))
        found[index] = replace(differences[index], adjusted=highest)
    return found


def _judged(
    told: Mapping[str, object],
    method: str,
    mean: float,
    error: float,
    degrees: float,
    *,
    scale: float,
) -> Difference:
    if error == 0.0:
        return Difference(**told, method=method, mean=scale * mean)  # type: ignore[arg-type]
    from scipy.special import stdtr  # a tenth of the time of scipy.stats

    return Difference(
        **told,  # type: ignore[arg-type]
        method=method,
        mean=scale * mean,
        half_width=scale * t_quantile(degrees) * error,
        p=2 * float(stdtr(degrees, -abs(mean) / error)),
    )

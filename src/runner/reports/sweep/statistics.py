"""What can be said of the scores of a sweep: means with intervals, seeds, effects of keys."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from runner.reports.sweep.table import RunResult, SweepResults, goodness, number_in, values_in_order

CONFIDENCE = 0.95
SEED = "seed"
MOST_VALUES = 8  # a number with more distinct values than this is told in ranges
_NUM_RANGES = 4
_FAR = 8.0  # widths of the middle half of all scores
_FEWEST = 8  # of less results none can be called far off


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Mean of `count` scores; deviation and interval need two of them."""

    mean: float
    count: int
    deviation: float | None = None  # of the sample (n - 1)
    half_width: float | None = None  # the 95% interval of the mean is mean +- half_width


@dataclass(frozen=True, kw_only=True)
class SeedGroup:
    """Runs that differ in nothing but their seed."""

    label: str
    estimate: Estimate
    runs: Sequence[RunResult]
    num_without: int  # runs of the group that have no result


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a key does to the score, over all values of the others."""

    key: str
    by_value: Sequence[tuple[str, Estimate]]
    size: float  # between the best and the worst mean
    correlation: float | None = None  # Spearman's, of a number with many values
    has_ranges: bool = False


def far_off(results: SweepResults) -> list[RunResult]:
    """Return the runs whose score is so far from all others that it alone would make the means.

    They have diverged: what the others say is told better without them.
    """
    runs = [run for run in results.runs if run.is_result]
    scores = sorted(run.score or 0.0 for run in runs)
    if len(scores) < _FEWEST:
        return []
    first, third = (scores[round((len(scores) - 1) * share)] for share in (0.25, 0.75))
    reach = _FAR * (third - first)
    return [run for run in runs if not first - reach <= (run.score or 0.0) <= third + reach]


def without(results: SweepResults, runs: Iterable[RunResult]) -> SweepResults:
    """Return the results but for those of `runs`."""
    doomed = {run.number for run in runs}
    return replace(results, runs=[run for run in results.runs if run.number not in doomed])


def estimate(scores: Sequence[float]) -> Estimate:
    """Return mean, deviation and interval (Student's t) of at least one score."""
    count, scale = len(scores), magnitude(scores)
    mean = scale * (math.fsum(score / scale for score in scores) / count)
    if count < 2:
        return Estimate(mean=mean, count=count)
    deviation = math.hypot(*(score - mean for score in scores)) / math.sqrt(count - 1)
    half_width = t_quantile(count - 1) * deviation / math.sqrt(count)
    return Estimate(mean=mean, count=count, deviation=deviation, half_width=half_width)


def magnitude(values: Iterable[float]) -> float:
    """Return the power of two to divide `values` by, exactly, so that no sum of them overflows."""
    return math.ldexp(1.0, math.frexp(max(map(abs, values)))[1] - 1)


def t_quantile(degrees: float) -> float:
    """Return how many standard errors a two-sided 95% interval reaches."""
    from scipy.special import stdtrit  # a tenth of the time of scipy.stats

    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))


def seed_groups(results: SweepResults) -> list[SeedGroup]:
    """Return the runs grouped by everything but the seed, best mean first; [] without seeds.

    A group without a result is left out.
    """
    if SEED not in results.swept:
        return []
    members: dict[str, list[RunResult]] = {}
    for run in results.runs:
        rest = " ".join(f"{key}={value}" for key, value in run.overrides.items() if key != SEED)
        members.setdefault(rest, []).append(run)
    groups = [
        SeedGroup(
            label=label,
            estimate=estimate([run.score or 0.0 for run in runs if run.is_result]),
            runs=[run for run in runs if run.is_result],
            num_without=sum(not run.is_result for run in runs),
        )
        for label, runs in members.items()
        if any(run.is_result for run in runs)
    ]
    return sorted(groups, key=lambda group: goodness(group.estimate.mean, results.mode))


def seed_deviation(groups: Iterable[SeedGroup]) -> float | None:
    """Return by how much scores scatter with the seed alone, pooled over all groups."""
    several = [group.estimate for group in groups if group.estimate.deviation is not None]
    freedom = sum(one.count - 1 for one in several)
    if not freedom:
        return None
    parts = (math.sqrt(one.count - 1) * (one.deviation or 0.0) for one in several)
    return math.hypot(*parts) / math.sqrt(freedom)


def effects(results: SweepResults) -> list[Effect]:
    """Return what each swept key does, the largest difference of means first.

    Each is marginal: the means are over whatever values the other keys had.
    """
    found = [effect for key in results.swept if (effect := _effect(results, key)) is not None]
    return sorted(found, key=lambda effect: (-effect.size, effect.key))


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the rank correlation of pairs; None where one of both never changes."""
    a, b = _ranks(first), _ranks(second)
    mean = (len(a) + 1) / 2
    product = math.fsum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    squares = math.fsum((x - mean) ** 2 for x in a) * math.fsum((y - mean) ** 2 for y in b)
    return product / math.sqrt(squares) if squares > 0 else None


def _effect(results: SweepResults, key: str) -> Effect | None:
    runs = [run for run in results.runs if run.is_result and key in run.overrides]
    values = values_in_order(run.overrides[key] for run in runs)
    if len(values) < 2:
        return None
    is_number = all(number_in(value) is not None for value in values)
    has_ranges = is_number and len(values) > MOST_VALUES
    if key == SEED and has_ranges:  # each run has its own: there is nothing to compare
        return None
    groups = _ranges(runs, key) if has_ranges else _by_value(runs, key, values)
    by_value = [(label, estimate(scores)) for label, scores in groups]
    means = [one.mean for _, one in by_value]
    numbers = [number_in(run.overrides[key]) or 0.0 for run in runs]
    scores = [run.score or 0.0 for run in runs]
    return Effect(
        key=key,
        by_value=by_value,
        size=max(means) - min(means),
        correlation=spearman(numbers, scores) if has_ranges else None,
        has_ranges=has_ranges,
    )


def _by_value(
    runs: Sequence[RunResult], key: str, values: Sequence[str]
) -> list[tuple[str, list[float]]]:
    return [
        (value, [run.score or 0.0 for run in runs if run.overrides[key] == value])
        for value in values
    ]


def _ranges(runs: Sequence[RunResult], key: str) -> list[tuple[str, list[float]]]:
    """Return the scores in ranges of the key's value that hold about as many runs each."""
    ordered = sorted((number_in(run.overrides[key]) or 0.0, run.score or 0.0) for run in runs)
    bounds = [round(len(ordered) * part / _NUM_RANGES) for part in range(_NUM_RANGES + 1)]
    pieces = [ordered[low:high] for low, high in pairwise(bounds)]
    return [
        (f"{piece[0][0]:.4g} to {piece[-1][0]:.4g}", [score for _, score in piece])
        for piece in pieces
        if piece
    ]


def _ranks(values: Sequence[float]) -> list[float]:
    """Return ranks from 1 on; equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    ranks = [0.0] * len(values)
    first = 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for index in order[first : last + 1]:
            ranks[index] = (first + last) / 2 + 1
        first = last + 1
    return ranks

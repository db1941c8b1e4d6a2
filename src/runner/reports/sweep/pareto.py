"""Which runs of a sweep with several objectives no other run beats in all of them."""

import math
from collections.abc import Mapping, Sequence

from runner.reports.sweep.table import RunResult, goodness


def comparable(runs: Sequence[RunResult], objectives: Mapping[str, str]) -> list[RunResult]:
    """Return the completed runs that have a value for each objective, and one that is a number."""
    return [
        run
        for run in runs
        if run.state == "completed"
        and all(math.isfinite(run.objectives.get(name, math.nan)) for name in objectives)
    ]


def pareto_front(runs: Sequence[RunResult], objectives: Mapping[str, str]) -> list[RunResult]:
    """Return the runs that no other equals in all objectives and beats in one.

    They are in the order of the first objective, the best first.
    """
    runs = comparable(runs, objectives)
    points = {run.number: _point(run, objectives) for run in runs}
    front = [
        run
        for run in runs
        if not any(_dominates(point, points[run.number]) for point in points.values())
    ]
    return sorted(front, key=lambda run: (points[run.number], run.number))


def _point(run: RunResult, objectives: Mapping[str, str]) -> tuple[float, ...]:
    return tuple(goodness(run.objectives[name], mode) for name, mode in objectives.items())


def _dominates(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return first != second and all(a <= b for a, b in zip(first, second, strict=True))

"""The pictures of a sweep: curves of all runs, score against each key, several objectives."""

import math
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes

from runner.reports.figures import (
    BEST,
    INK,
    OTHERS,
    cut,
    dress,
    is_log,
    new_figure,
    save,
    scale_scores,
    text_of,
)
from runner.reports.sweep.pareto import comparable, pareto_front
from runner.reports.sweep.statistics import SEED
from runner.reports.sweep.table import (
    RunResult,
    SweepResults,
    number_in,
    ranked,
    short_label,
    values_in_order,
)

MAX_PANELS = 12
_COLUMNS = 3
_CROWD = 200  # points or curves; more of them are drawn smaller and fainter
_NUM_BINS = 8  # of the mean of a number with many values, each of as many runs at least
_LONGEST_TICK = 6  # longer numbers were drawn by a search, and lie anywhere
_MOST_TICKS = 6  # of more values the axis chooses its own
_MOST_POINTS = 600  # of one curve: more cannot be told apart
_GOLDEN = 0.6180339887498949  # its multiples, modulo 1, spread evenly: jitter without chance


def plot_curves(results: SweepResults, path: Path) -> int | None:
    """Draw the best metric of all runs over their steps, the best runs in colour.

    Returns how many runs were drawn; without one nothing is written, and None returned.
    """
    runs = [run for run in results.runs if _finite(run.curve)]
    if not runs:
        return None
    best = ranked(runs, mode=results.mode)[: len(BEST)]
    chosen = {run.number for run in best}
    figure = new_figure(10.2, 4.8)
    axis = figure.subplots()
    alpha = 0.6 if len(runs) < _CROWD else 0.25
    for run in runs:
        if run.number not in chosen:
            steps, values = zip(*_thinned(run.curve), strict=True)
            dots = "." if len(steps) == 1 else ""
            axis.plot(
                steps, values, color=OTHERS, linewidth=0.9, alpha=alpha, marker=dots, zorder=1
            )
    for rank, (color, run) in enumerate(zip(BEST, best, strict=False)):
        steps, values = zip(*_thinned(run.curve), strict=True)
        axis.plot(
            steps,
            values,
            color=color,
            linewidth=1.8,
            marker="o" if len(steps) <= 20 else "",
            markersize=3.2,
            zorder=20 - rank,
            label=f"run {run.number}: {text_of(run.score)}\n{_wrapped(short_label(run))}",
        )
    if len(runs) > len(best):
        axis.plot([], [], color=OTHERS, label=f"{len(runs) - len(best)} other runs")
    values = [value for run in runs for _, value in _finite(run.curve)]
    must = [value for run in best for _, value in _finite(run.curve)]
    scale_scores(axis, values, must)
    dress(axis, x="step", y=results.metric)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False, labelspacing=0.9)
    save(figure, path)
    return len(runs)


def plot_parameters(results: SweepResults, keys: Sequence[str], path: Path) -> int | None:
    """Draw the score of each completed run against each of `keys`.

    Returns how many runs lie outside of the picture; without a result nothing is written, and None
    returned.
    """
    best = ranked(results.runs, mode=results.mode)
    keys = list(keys)[:MAX_PANELS]
    if not best or not keys:
        return None
    num_columns = 2 if len(keys) == 4 else min(_COLUMNS, len(keys))
    num_rows = math.ceil(len(keys) / num_columns)
    figure = new_figure(3.45 * num_columns + 0.4 if num_columns > 1 else 5.2, 3.1 * num_rows)
    grid = list(figure.subplots(num_rows, num_columns, squeeze=False).flat)
    outside = 0
    for place, (axis, key) in enumerate(zip(grid, keys, strict=False)):
        outside = _draw_parameter(axis, results, key, best)
        dress(axis, x=key, y="" if place % num_columns else results.metric)
    for axis in grid[len(keys) :]:
        axis.set_visible(False)
    save(figure, path)
    return outside


def plot_objectives(results: SweepResults, path: Path) -> int | None:
    """Draw the first two objectives against each other, with the front; return its length.

    Without a run that has both nothing is written, and None returned.
    """
    runs = comparable(results.runs, results.objectives)
    if not runs or len(results.objectives) < 2:
        return None
    front = pareto_front(runs, results.objectives)
    (x, x_mode), (y, y_mode) = list(results.objectives.items())[:2]
    figure = new_figure(7.2, 4.8)
    axis = figure.subplots()
    chosen = {run.number for run in front}
    others = [run for run in runs if run.number not in chosen]
    axis.scatter(*_points(others, x, y), s=26, color=OTHERS, label="dominated", zorder=2)
    if len(results.objectives) == 2:
        xs, ys = _points(front, x, y)
        # Between two runs of the front nothing better is known than the worse of both.
        axis.step(xs, ys, where="post", color=BEST[0], alpha=0.45, linewidth=1.2, zorder=1)
    axis.scatter(*_points(front, x, y), s=44, color=BEST[0], label="Pareto front", zorder=3)
    for run in front[:12]:
        point = (run.objectives[x], run.objectives[y])
        axis.annotate(
            str(run.number),
            point,
            xytext=(5, 5),
            textcoords="offset points",
            fontsize=8,
            color=INK,
        )
    dress(axis, x=f"{x} ({_better(x_mode)})", y=f"{y} ({_better(y_mode)})")
    for scale, name in ((axis.set_xscale, x), (axis.set_yscale, y)):
        if is_log([run.objectives[name] for run in runs]):
            scale("log")
    axis.legend(fontsize=8, frameon=False)
    save(figure, path)
    return len(front)


def _draw_parameter(axis: Axes, results: SweepResults, key: str, best: Sequence[RunResult]) -> int:
    runs = [run for run in best if key in run.overrides]
    texts = values_in_order(run.overrides[key] for run in _by_number(runs))
    numbers = [number for text in texts if (number := number_in(text)) is not None]
    if len(numbers) == len(texts):
        places = {text: number_in(text) or 0.0 for text in texts}
        if is_log(numbers) or (key in results.log_scaled and min(numbers, default=0) > 0):
            axis.set_xscale("log")
        if len(texts) <= _MOST_TICKS and max(map(len, texts)) <= _LONGEST_TICK:
            axis.set_xticks(list(places.values()), list(places), minor=False)
            axis.set_xticks([], minor=True)
    else:
        places = {text: float(place) for place, text in enumerate(texts)}
        axis.set_xticks(list(places.values()), [cut(text, 14) for text in texts])
        axis.set_xlim(-0.6, len(texts) - 0.4)
        if max(map(len, texts)) * len(texts) > 36:
            axis.tick_params(axis="x", rotation=25)
    is_strip = len(numbers) != len(texts)
    xs = [places[run.overrides[key]] + (_jitter(run.number) if is_strip else 0) for run in runs]
    scores = [run.score or 0.0 for run in runs]
    size, alpha = (24, 0.55) if len(runs) < _CROWD else (11, 0.35)
    axis.scatter(xs, scores, s=size, color=BEST[0], alpha=alpha, linewidths=0, zorder=2)
    if runs:
        axis.scatter(xs[:1], scores[:1], s=70, color=BEST[1], marker="*", zorder=4)
    if key != SEED:  # the means of seeds are noise
        draw_means = _draw_means_of_words if is_strip else _draw_means_of_numbers
        draw_means(axis, xs, scores)
    return scale_scores(axis, scores, scores[:1])


def _draw_means_of_words(axis: Axes, xs: Sequence[float], scores: Sequence[float]) -> None:
    for place in sorted({round(x) for x in xs}):  # jitter is less than half
        values = [score for x, score in zip(xs, scores, strict=True) if round(x) == place]
        mean = math.fsum(values) / len(values)
        axis.hlines(mean, place - 0.28, place + 0.28, color=INK, linewidth=1.4, zorder=3)


def _draw_means_of_numbers(axis: Axes, xs: Sequence[float], scores: Sequence[float]) -> None:
    """Draw a line through the mean of each value; of many values through those of ranges."""
    pairs = sorted(zip(xs, scores, strict=True))
    values = sorted(set(xs))
    if len(values) <= _NUM_BINS:
        groups = [[pair for pair in pairs if pair[0] == value] for value in values]
    else:
        num_bins = max(1, min(_NUM_BINS, len(pairs) // _NUM_BINS))
        bounds = [round(len(pairs) * part / num_bins) for part in range(num_bins + 1)]
        groups = [pairs[low:high] for low, high in pairwise(bounds)]
    if len(groups) < 2 or len(pairs) < 2 * len(groups):  # hardly a mean of anything
        return
    middles = [group[len(group) // 2][0] for group in groups]
    means = [math.fsum(score for _, score in group) / len(group) for group in groups]
    axis.plot(middles, means, color=INK, linewidth=1.1, alpha=0.7, zorder=3)


def _points(runs: Sequence[RunResult], x: str, y: str) -> tuple[list[float], list[float]]:
    return [run.objectives[x] for run in runs], [run.objectives[y] for run in runs]


def _by_number(runs: Sequence[RunResult]) -> list[RunResult]:
    return sorted(runs, key=lambda run: run.number)


def _wrapped(label: str) -> str:
    """Return a label on at most two lines of a legend."""
    return "\n".join(textwrap.wrap(label, 40, max_lines=2, placeholder=" …"))


def _better(mode: str) -> str:
    return "lower is better" if mode == "min" else "higher is better"


def _jitter(number: int) -> float:
    return ((number * _GOLDEN) % 1.0 - 0.5) * 0.44


def _finite(curve: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    return [(step, value) for step, value in curve if math.isfinite(value)]


def _thinned(curve: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return a curve of no more points than can be seen; gaps where it is no number."""
    points = [(step, value if math.isfinite(value) else math.nan) for step, value in curve]
    stride = max(1, len(points) // _MOST_POINTS)
    return points[::stride] if stride == 1 else [*points[::stride], points[-1]]

"""The curves of several runs, laid over each other: a panel for each metric."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from runner.reports.comparison import Side, metrics_of
from runner.reports.figures import BEST, OTHERS, dress, is_log, new_figure, save

_MOST_PANELS = 12
_NUM_COLUMNS = 2


def plot_comparison(sides: Sequence[Side], path: Path) -> bool:
    """Write a PNG with a curve for each run; return False, and write nothing, without any."""
    metrics = [name for name in metrics_of(sides) if not name.startswith("test.")][:_MOST_PANELS]
    if not metrics:
        return False
    num_rows = math.ceil(len(metrics) / _NUM_COLUMNS)
    figure = new_figure(10.0, 3.4 * num_rows)
    axes: list[Axes] = list(figure.subplots(num_rows, _NUM_COLUMNS, squeeze=False).flat)
    for axis, metric in zip(axes, metrics, strict=False):
        _draw(axis, sides, metric)
    for axis in axes[len(metrics) :]:
        axis.set_visible(False)
    save(figure, path)
    return True


def _draw(axis: Axes, sides: Sequence[Side], metric: str) -> None:
    seen: list[float] = []
    for at, side in enumerate(sides):
        color = BEST[at] if at < len(BEST) else OTHERS
        label: str | None = side.label
        for run in side.runs:
            points = [(step, value) for step, value in run.series(metric) if math.isfinite(value)]
            if not points:
                continue
            seen += [value for _, value in points]
            axis.plot(
                [step for step, _ in points],
                [value for _, value in points],
                color=color,
                linewidth=1.6,
                alpha=0.85 if len(side.runs) == 1 else 0.55,
                marker="o" if len(points) < 30 else "",
                markersize=3,
                label=label if at < len(BEST) else None,
            )
            label = None  # one entry for each side
    if is_log(seen):
        axis.set_yscale("log")
    dress(axis, x="step", y=metric)
    if seen:
        axis.legend(fontsize=8, frameon=False)

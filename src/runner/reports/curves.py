"""Draw the learning curves of a run from its journal."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runner.reports.charts import thinned
from runner.run.journal import Row

COLORS = {"train": "#9a9a9a", "evaluation": "#1f6fb2", "test": "#c8442b", "speed": "#4f8a5b"}
MAX_PANELS = 12
NUM_COLUMNS = 3
_FIRST = ("loss",)  # the panels that come first; the others follow in the order of the journal
_LAST = (
    "learning_rate",
    "lr",
    "grad_norm",
    "samples_per_second",
    "data_wait_share",
    *("cpu_percent", "memory_gib", "gpu_percent", "gpu_memory_gib"),
    *("machine_cpu_percent", "machine_memory_percent"),
)
_FROM_ZERO = ("cer", "lr", "samples_per_second", "data_wait_share")
_MOST_POINTS = 2000  # of one curve
_POINTS_SHOWN = 30  # curves of no more points than this show them
_LOG_RATIO = 20.0  # a loss that falls by more than this is drawn on a logarithmic axis
_SIZE = (4.6, 3.1)  # inches of one panel

Series = list[tuple[int, float]]  # (step, value)
Panels = dict[str, dict[str, Series]]  # name of the value -> split -> series


def learning_curves(rows: Iterable[Row], path: Path, *, title: str = "") -> None:
    """Write a PNG with one panel for each logged value, a curve for each split in it.

    Values that are not finite leave a gap. Nothing is written for an empty journal.
    """
    panels = panels_of(rows)
    if not panels:
        return
    num_columns = min(NUM_COLUMNS, len(panels))
    num_rows = math.ceil(len(panels) / num_columns)
    size = (num_columns * _SIZE[0], num_rows * _SIZE[1] + (0.3 if title else 0.0))
    figure = Figure(figsize=size, dpi=110, layout="constrained", facecolor="white")
    if title:
        figure.suptitle(title, fontsize=11)
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    axes: Sequence[Axes] = list(grid.flat)
    for axis, (name, series) in zip(axes, panels.items(), strict=False):
        _draw_panel(axis, name, series)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def panels_of(rows: Iterable[Row]) -> Panels:
    """Return the series by name of the value and by split, in the order in which they are drawn."""
    panels: Panels = {}
    for row in rows:
        for name, value in row.values.items():
            panels.setdefault(name, {}).setdefault(row.split, []).append((row.step, value))
    names = sorted(panels, key=_rank)
    return {name: panels[name] for name in names[:MAX_PANELS]}


def _rank(name: str) -> int:
    if name in _FIRST:
        return 0
    return 2 + _LAST.index(name) if name in _LAST else 1


def _draw_panel(axis: Axes, name: str, series: dict[str, Series]) -> None:
    for split, points in series.items():
        _draw_series(axis, split, points)
    axis.set_title(name.replace("_", " "), fontsize=10, loc="left")
    axis.set_xlabel("step", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    if name == "loss" and _spans_decades(series):
        axis.set_yscale("log")
    if name in _FROM_ZERO:
        axis.set_ylim(bottom=0.0)
    if len(series) > 1 or name not in _LAST:
        axis.legend(fontsize=8, frameon=False)


def _draw_series(axis: Axes, split: str, points: Series) -> None:
    points = thinned(sorted(points), most=_MOST_POINTS)
    steps = [step for step, _ in points]
    values = [value if math.isfinite(value) else math.nan for _, value in points]
    last = next((value for value in reversed(values) if not math.isnan(value)), math.nan)
    axis.plot(
        steps,
        values,
        color=COLORS.get(split),
        linewidth=1.2 if split == "train" else 1.8,
        marker="o" if len(points) <= _POINTS_SHOWN else "",
        markersize=7 if split == "test" else 3.5,
        linestyle="none" if split == "test" else "-",
        label=f"{split} {last:.4g}",
    )


def _spans_decades(series: dict[str, Series]) -> bool:
    values = [value for points in series.values() for _, value in points if math.isfinite(value)]
    return bool(values) and min(values) > 0 and max(values) / min(values) > _LOG_RATIO

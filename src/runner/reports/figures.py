"""How figures and pictures of a report look: numbers as text, axes, colours."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BEST = ("#1f6fb2", "#d9632b", "#2a9d6a", "#8e5bb5", "#c79a12", "#c4447e")  # in order of rank
OTHERS = "#b9bec7"
INK = "#3a4150"
_LOG_RATIO = 30.0  # positive values that span more are drawn on a logarithmic axis


def text_of(value: float | None) -> str:
    """Return a figure with four digits that matter, "" for none."""
    if value is None:
        return ""
    return f"{value:.0f}" if math.isfinite(value) and abs(value) >= 10_000 else f"{value:.4g}"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches."""
    return Figure(figsize=(width, height), dpi=130, layout="constrained", facecolor="white")


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def dress(axis: Axes, *, x: str, y: str) -> None:
    """Give an axis its names and a quiet look."""
    axis.set_xlabel(x, fontsize=9, color=INK)
    axis.set_ylabel(y, fontsize=9, color=INK)
    axis.tick_params(labelsize=8, colors=INK)
    axis.grid(alpha=0.22, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#98a0ad")


def scale_scores(axis: Axes, values: Iterable[float], must: Sequence[float]) -> int:
    """Choose the range of the y axis; return how many values lie outside of it.

    A few runs that went wrong must not press all others flat: what lies far from the bulk is left
    out, but never the values in `must`.
    """
    values = list(values)
    if not values:
        return 0
    low, high = window_of(values, must)
    if min(values) > 0 and high / max(low, 1e-300) > _LOG_RATIO:
        axis.set_yscale("log")
        axis.set_ylim(low / 1.15, high * 1.15)
    else:
        margin = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
        axis.set_ylim(low - margin, high + margin)
    return sum(not low <= value <= high for value in values)


def window_of(values: Iterable[float], must: Sequence[float]) -> tuple[float, float]:
    """Return the range of values without those far from the bulk, but with those in `must`."""
    low, high = _fences(sorted(values))
    return min([low, *must]), max([high, *must])


def is_log(values: Sequence[float]) -> bool:
    """Return whether positive values span more than two decades."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > 100


def cut(text: str, length: int) -> str:
    """Return `text` with its middle left out if it is longer than `length`."""
    if len(text) <= length:
        return text
    front = (length - 1) // 2
    return f"{text[:front]}…{text[len(text) - (length - 1 - front) :]}"


def _fences(values: Sequence[float]) -> tuple[float, float]:
    """Return the range of sorted values without those far outside of the middle half."""
    first, third = (values[round((len(values) - 1) * share)] for share in (0.25, 0.75))
    reach = 4.0 * (third - first)
    inside = [value for value in values if first - reach <= value <= third + reach]
    return inside[0], inside[-1]

"""Curves as data: what a chart shows, thinned to what can be seen."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

Points = Sequence[tuple[int, float]]  # (step, value), in the order of the steps

FAINT = "faint"
MOST_POINTS = 500  # of one line: more cannot be told apart
_LARGEST = 1e150  # beyond it a range of values is no number any more
_LOG_RATIO = 20.0  # positive values that span more are shown on a logarithmic axis first


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve. Its tone is a colour by its use: see --tone-... in page.css."""

    name: str
    points: Points
    tone: str
    figure: float | None = None  # what is told of it beside its name, if not its last value

    @property
    def is_faint(self) -> bool:
        """Whether it is there to compare with, and told of with others like it."""
        return self.tone == FAINT

    @property
    def last(self) -> float:
        return self.points[-1][1]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A step that stands out: where a job took over, or where the best score was reached."""

    step: int
    label: str
    kind: str  # job | best


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Lines over the same steps."""

    title: str
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    prefers_log: bool = False  # of both axes it can be shown on
    window: tuple[float, float] | None = None  # values outside are left out
    span: tuple[int, int] | None = None  # the steps of the axis, where other charts share it

    @property
    def values(self) -> list[float]:
        """All values that can be drawn, in the window."""
        low, high = self.window or (-math.inf, math.inf)
        every = (value for line in self.lines for _, value in line.points)
        return [value for value in every if is_drawable(value) and low <= value <= high]

    @property
    def has_log(self) -> bool:
        """Whether a logarithmic axis would show anything."""
        return len({value for value in self.values if value > 0}) > 1

    @property
    def is_log(self) -> bool:
        """Whether it is shown on a logarithmic axis first."""
        return self.prefers_log and self.has_log


def sharing_steps(charts: Sequence[Chart]) -> list[Chart]:
    """Return the charts over one and the same stretch of steps, so that the eye can compare."""
    steps = [step for chart in charts for line in chart.lines for step, _ in line.points]
    return [replace(chart, span=(min(steps), max(steps))) for chart in charts] if steps else []


def is_drawable(value: float) -> bool:
    """Return whether `value` has a place on an axis."""
    return math.isfinite(value) and abs(value) < _LARGEST


def spans_decades(values: Iterable[float]) -> bool:
    """Return whether values are all positive and of very different size."""
    found = [value for value in values if is_drawable(value)]
    return bool(found) and min(found) > 0 and max(found) / min(found) > _LOG_RATIO


def thinned(points: Points, *, most: int = MOST_POINTS) -> list[tuple[int, float]]:
    """Return about `most` points: of each stretch the lowest and the highest, so spikes stay.

    A value that is not finite stays too, one of a stretch.
    """
    if len(points) <= most:
        return list(points)
    size = math.ceil(2 * (len(points) - 2) / (most - 2))
    kept = [points[0]]
    for first in range(1, len(points) - 1, size):
        kept += _extremes(points[first : min(first + size, len(points) - 1)])
    return [*kept, points[-1]]


def to_json(chart: Chart) -> str:
    """Return the lines for the page's script, so written that it can stand inside HTML."""
    lines = [
        {"name": line.name, "points": [[step, _plain(value)] for step, value in line.points]}
        for line in chart.lines
        if not line.is_faint
    ]
    text = json.dumps(lines, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _extremes(stretch: Points) -> list[tuple[int, float]]:
    drawable = [index for index, (_, value) in enumerate(stretch) if is_drawable(value)]
    chosen: set[int] = set()
    if len(drawable) < len(stretch):
        chosen.add(next(i for i, (_, value) in enumerate(stretch) if not is_drawable(value)))
    if drawable:
        chosen.add(min(drawable, key=lambda index: stretch[index][1]))
        chosen.add(max(drawable, key=lambda index: stretch[index][1]))
    return [stretch[index] for index in sorted(chosen)]


def _plain(value: float) -> Any:
    """Return the value as JSON knows it: what is not finite as its name."""
    return float(f"{value:.6g}") if math.isfinite(value) else str(value)

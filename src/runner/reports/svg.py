"""Draw a chart as SVG: whole without any script, on a linear and on a logarithmic axis."""

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from runner.reports.charts import Chart, Line, Mark, is_drawable

WIDTH, HEIGHT = 520, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 506, 20, 238  # the frame, in pixels
_DOTS = 40  # lines of no more points than this show them
_MOST_STEPS = 6  # labels on the horizontal axis
_MOST_VALUES = 6
_LETTER = 9  # the width of one in a label, on a phone
_CROSS = 3  # half the width of the mark of a value that is no number


@dataclass(frozen=True)
class Axis:
    """The vertical axis: a range of values, as they are or as their (positive) logarithms."""

    name: str  # linear | log
    low: float
    high: float

    def shows(self, value: float) -> bool:
        return is_drawable(value) and self.low <= value <= self.high

    def pixel(self, value: float) -> float:
        """Return how far down `value` lies."""
        low, high = self.low, self.high
        if self.name == "log":
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return BOTTOM - (value - low) / (high - low) * (BOTTOM - TOP)


def draw(chart: Chart) -> str:
    """Return the SVG; data-* tell the page's script where steps and values lie."""
    first, last = _steps(chart)
    along = _scale(first, last)
    axes = [linear_axis(chart.values)] + ([log_axis(chart.values)] if chart.has_log else [])
    label = html.escape(
        f"{chart.title}: {', '.join(line.name for line in chart.lines if not line.is_faint)}"
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0" aria-label="{label}" '
        f'data-first="{first}" data-last="{last}" data-left="{LEFT}" data-right="{RIGHT}" '
        f'data-top="{TOP}" data-bottom="{BOTTOM}">'
        f"{_horizontal(first, last, along)}{_marks(chart, along)}"
        f"{''.join(_group(axis, chart, along) for axis in axes)}</svg>"
    )


def linear_axis(values: Sequence[float]) -> Axis:
    """Return an axis with some room above and below; from zero where that is near."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if 0 <= low <= 0.5 * high:
        low = 0.0
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis("linear", low - (0.0 if low == 0.0 else room), high + room)


def log_axis(values: Iterable[float]) -> Axis:
    """Return an axis over the positive values."""
    positive = [value for value in values if value > 0]
    return Axis("log", min(positive) / 1.15, max(positive) * 1.15)


def ticks(low: float, high: float, *, most: int) -> list[float]:
    """Return round numbers between `low` and `high`: multiples of 1, 2 or 5 of a power of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    return [round(n * step, 12 - math.floor(math.log10(step))) for n in _multiples(low, high, step)]


def log_ticks(low: float, high: float, *, most: int) -> list[float]:
    """Return powers of ten, with what lies between if they are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(found) <= most + 1:
            return found if len(found) > 1 else ticks(low, high, most=most)
    return found[:: math.ceil(len(found) / most)]


def compact(value: float) -> str:
    """Return a number as an axis shows it: 0.05, 3200, 12k, 1.5M."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if unit <= abs(value) < 1e15:
            return f"{value / (1e3 if letter == 'k' else unit):.4g}{letter}"
    return f"{value:.4g}"


def _steps(chart: Chart) -> tuple[int, int]:
    if chart.span is not None:
        return chart.span
    steps = [step for line in chart.lines for step, _ in line.points]
    return min(steps, default=0), max(steps, default=1)


def _scale(first: int, last: int) -> Callable[[int], float]:
    def along(step: int) -> float:
        return LEFT + (step - first) / max(1, last - first) * (RIGHT - LEFT)

    return along


def _multiples(low: float, high: float, step: float) -> range:
    return range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)


def _horizontal(first: int, last: int, along: Callable[[int], float]) -> str:
    found = ticks(first, max(last, first + 1), most=_MOST_STEPS)
    steps = sorted({round(step) for step in found if first <= round(step) <= last})
    labels = "".join(
        f'<text x="{along(step):.1f}" y="{BOTTOM + 18}" text-anchor="middle">{compact(step)}</text>'
        for step in steps
    )
    return (
        f'<g class="axis">{labels}<line class="floor" x1="{LEFT}" x2="{RIGHT}" y1="{BOTTOM}" '
        f'y2="{BOTTOM}"/></g>'
    )


def _marks(chart: Chart, along: Callable[[int], float]) -> str:
    """Return lines, with those labels that lie over no other; the best score always has its own."""
    first, last = _steps(chart)
    marks = [mark for mark in chart.marks if first <= mark.step <= last]
    taken: list[tuple[float, float]] = []
    drawn: dict[Mark, str] = {}
    for mark in sorted(marks, key=lambda mark: mark.kind != "best"):
        low, high = _extent(along(mark.step), mark.label)
        is_free = all(high < left or right < low for left, right in taken)
        if is_free:
            taken.append((low, high))
        drawn[mark] = _mark(along(mark.step), mark, has_label=is_free)
    return "".join(drawn[mark] for mark in marks)


def _extent(x: float, label: str) -> tuple[float, float]:
    """Return from where to where a label reaches: to the right of its line, or to its left."""
    width = _LETTER * len(label)
    return (x - width, x) if _is_late(x) else (x, x + width)


def _is_late(x: float) -> bool:
    return x > (LEFT + RIGHT) / 2


def _mark(x: float, mark: Mark, *, has_label: bool) -> str:
    anchor = "end" if _is_late(x) else "start"
    text = html.escape(mark.label)
    label = f'<text x="{x:.1f}" y="{TOP - 6}" text-anchor="{anchor}">{text}</text>'
    return (
        f'<g class="mark {mark.kind}"><line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{BOTTOM}"/>'
        f"{label if has_label else ''}</g>"
    )


def _group(axis: Axis, chart: Chart, along: Callable[[int], float]) -> str:
    choose = log_ticks if axis.name == "log" else ticks
    found = choose(axis.low, axis.high, most=_MOST_VALUES)
    grid = "".join(_grid_line(axis.pixel(tick), compact(tick)) for tick in found)
    lines = "".join(_line(line, axis, along) for line in chart.lines)
    return (
        f'<g class="scale {axis.name}" data-low="{axis.low!r}" data-high="{axis.high!r}">'
        f'<g class="axis">{grid}</g>{lines}</g>'
    )


def _grid_line(y: float, label: str) -> str:
    return (
        f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _line(line: Line, axis: Axis, along: Callable[[int], float]) -> str:
    places = [
        (along(step), axis.pixel(value)) if axis.shows(value) else None
        for step, value in line.points
    ]
    parts = [f'<path d="{_path(places)}"/>']
    drawn = [place for place in places if place is not None]
    if len(drawn) <= (1 if line.is_faint else _DOTS):
        radius = 4 if len(drawn) == 1 else 2.5
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' for x, y in drawn]
    parts += [_cross(along(step)) for step, value in line.points if not is_drawable(value)]
    return f'<g class="line {line.tone}">{"".join(parts)}</g>'


def _path(places: Sequence[tuple[float, float] | None]) -> str:
    """Return the line through `places`, which begins anew after a gap."""
    commands = []
    for before, place in pairwise([None, *places]):
        if place is not None:
            commands.append(f"{'M' if before is None else 'L'}{place[0]:.1f} {place[1]:.1f}")
    return "".join(commands)


def _cross(x: float) -> str:
    low, high = TOP + 2, TOP + 2 + 2 * _CROSS
    return (
        f'<path class="no-number" d="M{x - _CROSS:.1f} {low}L{x + _CROSS:.1f} {high}'
        f'M{x - _CROSS:.1f} {high}L{x + _CROSS:.1f} {low}"/>'
    )

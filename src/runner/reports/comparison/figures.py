"""What compared runs have measured: a table of figures, and the step at which values part."""

import math
from collections.abc import Mapping, Sequence

from runner.reports.comparison.runs import (
    Side,
    best_index,
    group_of,
    measured_alike,
    metrics_of,
    mode_of,
)
from runner.reports.page import Block, Paragraph, Table
from runner.reports.sweep.statistics import Estimate
from runner.run.parting import RowComparison

_MOST_COLUMNS = 5  # more sides than this are rows


def side_table(corner: str, sides: Sequence[Side], cells: Mapping[str, Sequence[str]]) -> Table:
    """Return a table with a column for each side; of many sides with a row for each."""
    labels = [side.label for side in sides]
    if len(sides) <= _MOST_COLUMNS:
        rows = [[name, *texts] for name, texts in cells.items()]
        return Table(header=[corner, *labels], rows=rows, left=[corner])
    columns = zip(*cells.values(), strict=True)
    rows = [[label, *texts] for label, texts in zip(labels, columns, strict=True)]
    return Table(header=["side", *cells], rows=rows, left=["side"])


def figures(sides: Sequence[Side]) -> list[Block]:
    """Return a table of what was measured, the better marked where sides can be ranked."""
    cells: dict[str, list[str]] = {}
    are_alike = measured_alike(sides)
    for metric in metrics_of(sides):
        cells |= _cells(metric, sides, mode_of(metric, sides), is_ranked=are_alike)
    if not cells:
        return [Paragraph(text="Nothing was evaluated yet.")]
    text = (
        "Measured at the best step of each run, whose weights are kept; a row that says last is of "
        "the last step. (lower), (higher): which is better"
    )
    has_groups = any(len(side.runs) > 1 for side in sides)
    if not are_alike:
        text += ". The runs are of different tasks or data: their figures are not ranked."
    elif has_groups:
        text += "; the better is marked * where its interval lies apart from all others."
    else:
        text += "; the better is marked *."
    if has_groups:
        text += " Over seeds: mean and 95% interval (Student's t) of the completed runs."
    if any(side.repeats_seeds for side in sides):
        text += " There are runs of one seed: runs of one seed count once, with their mean."
    return [Paragraph(text=text), side_table("metric", sides, cells), *_over_seeds(sides)]


def _cells(
    metric: str, sides: Sequence[Side], mode: str | None, *, is_ranked: bool
) -> dict[str, list[str]]:
    """Return the row of the kept weights and, where it says something else, that of the last."""
    rank = mode if is_ranked else None
    kept = [_kept(side, metric) for side in sides]
    best = best_index([mean for mean, _ in kept], rank)
    if best is not None and not _lies_apart(best, sides, metric):
        best = None
    shown = _marked([text for _, text in kept], best)
    better = "" if mode is None else f" ({'lower' if mode == 'min' else 'higher'})"
    if not any(run.has_kept(metric) for side in sides for run in side.runs):
        return {f"{metric}, last{better}": shown}
    cells = {f"{metric}{better}": shown}
    last = [side.first.last_value(metric) for side in sides]
    is_other = any(a != b for a, (b, _) in zip(last, kept, strict=True))
    if is_other and all(len(side.runs) == 1 for side in sides):
        texts = [figure_text(value) for value in last]
        cells[f"{metric}, last"] = _marked(texts, best_index(last, rank))
    return cells


def _over_seeds(sides: Sequence[Side]) -> list[Block]:
    """Tell the mean of runs that differ in nothing but their seed, each a side of its own."""
    group = group_of(sides)
    metric = sides[0].first.metric
    found = None if group is None else group.estimate(metric)
    if found is None or found.half_width is None:
        return []
    text = (
        f"Over their {found.count} seeds {metric} is {figure_text(found.mean)} ± "
        f"{figure_text(found.half_width)}, the mean and its 95% interval (Student's t)."
    )
    return [Paragraph(text=text)]


def _kept(side: Side, metric: str) -> tuple[float | None, str]:
    if len(side.runs) == 1:
        value = side.first.kept_value(metric)
        return value, figure_text(value)
    found = side.estimate(metric)
    if found is None:
        return None, ""
    spread = "" if found.half_width is None else f" ± {figure_text(found.half_width)}"
    return found.mean, f"{figure_text(found.mean)}{spread} (n={found.count})"


def _lies_apart(best: int, sides: Sequence[Side], metric: str) -> bool:
    """Return whether the interval of a side overlaps no other; single runs are without any."""
    if all(len(side.runs) == 1 for side in sides):
        return True
    bounds = [_interval(side.estimate(metric)) for side in sides]
    low, high = bounds[best]
    others = [each for at, each in enumerate(bounds) if at != best]
    return all(high < other_low or other_high < low for other_low, other_high in others)


def _interval(found: Estimate | None) -> tuple[float, float]:
    """Return the 95% interval of a mean: all numbers for one run, or for none that counts."""
    if found is None or found.half_width is None:
        return -math.inf, math.inf
    return found.mean - found.half_width, found.mean + found.half_width


def _marked(texts: Sequence[str], best: int | None) -> list[str]:
    return [f"{text} *" if at == best else text for at, text in enumerate(texts)]


def partings(pairs: Sequence[tuple[str, str, RowComparison]], *, rtol: float) -> list[Block]:
    """Return a sentence for each pair: where its values part, told apart by `rtol`."""
    how = f"within a tolerance of {rtol:g}" if rtol else "bit for bit"
    return [Paragraph(text=_sentence(a, b, each, how)) for a, b, each in pairs]


def _sentence(a: str, b: str, each: RowComparison, how: str) -> str:
    if not each.compared:
        return f"{a} and {b} have logged nothing for the same step."
    parting = each.parting
    if parting is None or parting.difference is None:
        lacking = f"; {each.lacking} values one of them has alone" if each.lacking else ""
        return (
            f"{a} and {b} are equal {how} up to the end: {each.compared} values, up to step "
            f"{each.last_step}, which both have reached{lacking}."
        )
    return (
        f"{a} and {b} part at step {parting.step}: {parting.metric} is {parting.first!r} and "
        f"{parting.second!r}; of {each.compared} values {each.differing} differ, compared {how}."
    )


def figure_text(value: float | None) -> str:
    """Return a figure with four digits that matter, "" for none."""
    if value is None:
        return ""
    return f"{value:.0f}" if 10_000 <= abs(value) < 1e15 else f"{value:.4g}"

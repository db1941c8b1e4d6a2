"""Whether differences between groups of runs are real, in words."""

from collections.abc import Sequence

from runner.reports.comparison.figures import figure_text
from runner.reports.comparison.significance import FEW, PAIRED, Difference
from runner.reports.page import Block, Paragraph, Table

_MOST_DIFFERENCES = 40


def significance(differences: Sequence[Difference]) -> list[Block]:
    """Return a table of differences, the surest first, and how they were judged."""
    if not differences:
        return []
    shown = sorted(differences, key=lambda d: (d.adjusted is None, d.adjusted or 0.0))
    rows = [_row(each) for each in shown[:_MOST_DIFFERENCES]]
    header = ["difference", "metric", "mean", "95% interval", "p", "n", "verdict"]
    blocks: list[Block] = [
        Table(header=header, rows=rows, left=["difference", "metric", "verdict"])
    ]
    return [*blocks, *(Paragraph(text=text) for text in _methods(differences, len(rows)))]


def _row(each: Difference) -> list[str]:
    low_high = ""
    if each.half_width is not None:
        low, high = each.mean - each.half_width, each.mean + each.half_width
        low_high = f"{figure_text(low)} to {figure_text(high)}"
    return [
        f"{each.second} - {each.first}",
        each.metric,
        figure_text(each.mean),
        low_high,
        "" if each.adjusted is None else f"{each.adjusted:.2g}",
        f"{each.counts[0]}, {each.counts[1]}",
        _verdict(each),
    ]


def _verdict(each: Difference) -> str:
    if each.adjusted is not None:
        return "real" if each.is_real else "may be chance"
    if min(each.counts) < 2:
        return "one run is not enough"
    return "equal" if each.mean == 0.0 else "the same in every run"


def _methods(differences: Sequence[Difference], num_shown: int) -> list[str]:
    methods = dict.fromkeys(each.method for each in differences if each.p is not None)
    texts = []
    if methods:
        how = "; ".join(
            f"{name}{', over equal seeds' if name == PAIRED else ''}" for name in methods
        )
        texts.append(f"p is that of {how}. Real is what chance makes one time in twenty, or less.")
    if (count := sum(each.p is not None for each in differences)) > 1:
        texts.append(
            f"p is adjusted for {count} differences looked at together (Holm 1979); each interval "
            "stands for its difference alone."
        )
    if len(differences) > num_shown:
        texts.append(f"{num_shown} of {len(differences)} differences are shown, the surest first.")
    fewest = min((min(each.counts) for each in differences if each.p is not None), default=FEW)
    if fewest < FEW:
        texts.append(
            f"Groups of {fewest} are small: the test then rests on values that scatter normally, "
            "and only large differences can be told from chance. More seeds make it surer."
        )
    return texts

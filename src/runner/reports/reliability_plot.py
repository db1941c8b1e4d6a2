"""Draw the reliability of confidences (a reliability diagram: DeGroot and Fienberg, 1983)."""

from pathlib import Path

from matplotlib.axes import Axes

from runner.reports.figures import BEST, OTHERS, dress, new_figure, save
from runner.reports.reliability import Reliability, ReliabilityReport, wilson_interval

_WIDTH, _HEIGHT = 6.4, 5.6  # inches


def plot_reliability(report: ReliabilityReport, path: Path, *, title: str = "") -> None:
    """Write a PNG: share right against confidence, and below the number of predictions."""
    figure = new_figure(_WIDTH, _HEIGHT)
    if title:
        figure.suptitle(title, fontsize=10)
    shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    shares.plot([0, 1], [0, 1], color="#98a0ad", linewidth=1, linestyle="--")
    curves = [(report.own, OTHERS if report.calibrated else BEST[0], "the model's own")]
    if report.calibrated is not None:
        curves.append((report.calibrated, BEST[0], "calibrated"))
    for reliability, color, name in curves:
        label = f"{name}: error {reliability.ece:.2%}, Brier {reliability.brier:.4f}"
        _draw(shares, reliability, color=color, label=label)
        _draw_counts(counts, reliability, color=color)
    dress(shares, x="", y="share right")
    dress(counts, x="confidence (mean of a bin)", y="predictions")
    shares.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    shares.legend(
        fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2
    )
    counts.set_yscale("log")
    save(figure, path)


def _draw(axis: Axes, reliability: Reliability, *, color: str, label: str) -> None:
    intervals = [wilson_interval(one.right, one.count) for one in reliability.bins]
    shares = [one.share for one in reliability.bins]
    below = [share - low for share, (low, _) in zip(shares, intervals, strict=True)]
    above = [high - share for share, (_, high) in zip(shares, intervals, strict=True)]
    axis.errorbar(
        [one.confidence for one in reliability.bins],
        shares,
        yerr=[[max(0.0, length) for length in below], [max(0.0, length) for length in above]],
        fmt="o",
        color=color,
        markersize=5,
        elinewidth=1.2,
        capsize=2.5,
        label=label,
    )


def _draw_counts(axis: Axes, reliability: Reliability, *, color: str) -> None:
    where = [one.confidence for one in reliability.bins]
    axis.vlines(where, 0.5, [one.count for one in reliability.bins], color=color, linewidth=4)

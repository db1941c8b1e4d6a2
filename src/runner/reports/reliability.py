"""How far the confidences of a split can be trusted: a table, two figures, and what they say."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from runner.reports.page import Block, Paragraph, Picture, Section, Table

PICTURE = "reliability.png"
# Narrower towards 1, where a good model is all the time.
EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The predictions with a confidence in (low, high]; 0 is in the first."""

    low: float
    high: float
    count: int
    confidence: float  # the mean
    right: int

    @property
    def share(self) -> float:
        return self.right / self.count


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Bins that hold predictions; `ece` and `brier` are 0 at best."""

    bins: Sequence[Bin]
    ece: float
    brier: float


@dataclass(frozen=True, kw_only=True)
class ReliabilityReport:
    """The confidences of one split: the model's own, and calibrated ones if there are any."""

    split: str
    step: int  # of the weights
    own: Reliability
    calibrated: Reliability | None
    calibrated_on: int = 0  # evaluated samples

    @property
    def count(self) -> int:
        return sum(one.count for one in self.own.bins)

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return asdict(self)


def reliability_of(confidences: Sequence[float], rights: Sequence[bool]) -> Reliability:
    """Return how confidences (0-1) and outcomes agree.

    `ece` is the expected calibration error, the mean over all predictions of the distance between
    mean confidence and share right in their bin (Naeini et al., 2015); `brier` the mean squared
    distance of confidence and outcome (Brier, 1950).
    """
    bins: list[Bin] = []
    pairs = sorted(zip(confidences, rights, strict=True))
    for low, high in pairwise(EDGES):
        inside = [p for p in pairs if low < p[0] <= high or (low == 0.0 and p[0] <= 0.0)]
        if inside:
            mean = sum(confidence for confidence, _ in inside) / len(inside)
            right = sum(is_right for _, is_right in inside)
            one = Bin(low=low, high=high, count=len(inside), confidence=mean, right=right)
            bins.append(one)
    count = max(1, len(pairs))
    return Reliability(
        bins=bins,
        ece=sum(one.count * abs(one.confidence - one.share) for one in bins) / count,
        brier=sum((confidence - is_right) ** 2 for confidence, is_right in pairs) / count,
    )


def reliability_from(plain: Mapping[str, Any]) -> ReliabilityReport:
    """Return the report that `to_plain` gave; ValueError, TypeError or KeyError for another."""
    calibrated = plain["calibrated"]
    return ReliabilityReport(
        split=str(plain["split"]),
        step=int(plain["step"]),
        own=_reliability_from(plain["own"]),
        calibrated=None if calibrated is None else _reliability_from(calibrated),
        calibrated_on=int(plain.get("calibrated_on", 0)),
    )


def _reliability_from(plain: Mapping[str, Any]) -> Reliability:
    bins = [_bin_from(each) for each in plain["bins"]]
    return Reliability(bins=bins, ece=float(plain["ece"]), brier=float(plain["brier"]))


def _bin_from(plain: Mapping[str, Any]) -> Bin:
    low, high, confidence = (float(plain[name]) for name in ("low", "high", "confidence"))
    count, right = int(plain["count"]), int(plain["right"])
    if not 0 <= right <= count or count == 0:
        raise ValueError(f"{right} of {count} predictions are right")
    return Bin(low=low, high=high, count=count, confidence=confidence, right=right)


def wilson_interval(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Return the score interval of a share, 95% unless `z` says otherwise (Wilson, 1927)."""
    share = successes / trials
    middle = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return (middle - spread) / (1 + z * z / trials), (middle + spread) / (1 + z * z / trials)


def reliability_section(report: ReliabilityReport, *, picture: str | None) -> Section:
    """Return what a page says of it; `picture` is the file of its picture."""
    blocks: list[Block] = [Paragraph(text=_in_words(report))]
    if picture is not None:
        caption = (
            "Share right against confidence, with 95% intervals (Wilson); on the line they agree. "
            "Below, how many predictions have which confidence."
        )
        blocks.append(Picture(file_name=picture, caption=caption))
    shown = report.own if report.calibrated is None else report.calibrated
    header = ["confidence", "predictions", "mean confidence", "right", "95% interval"]
    rows = [
        [
            f"{one.low:.0%} to {one.high:.0%}",
            str(one.count),
            f"{one.confidence:.1%}",
            f"{one.share:.1%}",
            "{:.1%} to {:.1%}".format(*wilson_interval(one.right, one.count)),
        ]
        for one in shown.bins
    ]
    blocks.append(Table(header=header, rows=rows))
    return Section(title=f"Reliability of the confidence on {report.split}", blocks=blocks)


def _in_words(report: ReliabilityReport) -> str:
    own, calibrated = report.own, report.calibrated
    text = f"{report.count} predictions with the weights of step {report.step}. "
    if not any(one.right for one in own.bins):
        text += (
            "None of them is right: errors near 0 then say that the model is rightly unsure, not "
            "that it is good. "
        )
    if calibrated is None:
        return text + (
            f"The confidence is the model's own: expected calibration error {own.ece:.2%}, Brier "
            f"score {own.brier:.4f} (both are 0 at best)."
        )
    return text + (
        f"The confidence is calibrated on {report.calibrated_on} evaluated samples; in brackets "
        f"the model's own. Expected calibration error {calibrated.ece:.2%} ({own.ece:.2%}), Brier "
        f"score {calibrated.brier:.4f} ({own.brier:.4f}); both are 0 at best."
    )

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from runner.reports.page import Paragraph, Table
from runner.reports.reliability import (
    EDGES,
    ReliabilityReport,
    reliability_from,
    reliability_of,
    reliability_section,
    wilson_interval,
)
from runner.reports.reliability_plot import plot_reliability

OWN = reliability_of([0.55, 0.58, 0.97, 0.98, 1.0, 0.0], [True, False, True, False, True, False])
REPORT = ReliabilityReport(
    split="test",
    step=40,
    own=OWN,
    calibrated=reliability_of([0.5, 0.5, 0.7, 0.7, 0.9, 0.1], [True, False] * 3),
    calibrated_on=30,
)


def test_each_prediction_is_in_the_bin_of_its_confidence():
    counts = {(one.low, one.high): (one.count, one.right) for one in OWN.bins}
    assert counts == {
        (0.0, 0.1): (1, 0),
        (0.5, 0.6): (2, 1),
        (0.95, 0.99): (2, 1),
        (0.99, 1.0): (1, 1),
    }
    assert EDGES[0] == 0 and EDGES[-1] == 1


def test_the_calibration_error_is_the_mean_distance_over_all_predictions():
    distances = [2 * abs(0.565 - 0.5), 2 * abs(0.975 - 0.5), 0.0, 0.0]
    assert OWN.ece == pytest.approx(sum(distances) / 6)
    assert reliability_of([0.8] * 5, [True] * 4 + [False]).ece == pytest.approx(0.0)


def test_the_brier_score_is_the_mean_squared_distance():
    assert OWN.brier == pytest.approx((0.45**2 + 0.58**2 + 0.03**2 + 0.98**2) / 6)


def test_no_prediction_has_no_bins():
    empty = reliability_of([], [])
    assert (empty.bins, empty.ece, empty.brier) == ([], 0.0, 0.0)


def test_the_wilson_interval_is_that_of_the_tables():
    # Newcombe (1998), table I: 81 of 263, and 0 of 20.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


@pytest.mark.parametrize("report", [REPORT, replace(REPORT, calibrated=None, calibrated_on=0)])
def test_a_report_is_read_back_as_it_was(report: ReliabilityReport):
    assert reliability_from(json.loads(json.dumps(report.to_plain()))) == report


def test_the_section_says_what_was_calibrated_and_shows_its_bins():
    words, table = reliability_section(REPORT, picture=None).blocks
    assert isinstance(words, Paragraph) and isinstance(table, Table)
    assert "6 predictions with the weights of step 40" in words.text
    assert "calibrated on 30 evaluated samples" in words.text
    assert [row[:2] for row in table.rows][-1] == ["80% to 90%", "1"]
    words, table = reliability_section(replace(REPORT, calibrated=None), picture=None).blocks
    assert isinstance(words, Paragraph) and isinstance(table, Table)
    assert "the model's own" in words.text
    assert table.rows[1] == ["50% to 60%", "2", "56.5%", "50.0%", "9.5% to 90.5%"]


@pytest.mark.parametrize("report", [REPORT, replace(REPORT, calibrated=None)])
def test_the_picture_is_drawn(report: ReliabilityReport, tmp_path: Path):
    plot_reliability(report, tmp_path / "plots/reliability.png", title="a run")
    with Image.open(tmp_path / "plots/reliability.png") as picture:
        assert len(picture.convert("L").getcolors(1 << 20) or []) > 20


def test_a_model_that_is_never_right_is_not_called_well_calibrated() -> None:
    own = reliability_of([0.001, 0.002], [False, False])
    report = replace(REPORT, own=own, calibrated=None)
    (told, *_) = reliability_section(report, picture=None).blocks
    assert isinstance(told, Paragraph) and "None of them is right" in told.text
    (told, *_) = reliability_section(REPORT, picture=None).blocks
    assert isinstance(told, Paragraph) and "is right" not in told.text

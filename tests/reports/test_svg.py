"""The drawing of a chart, without a browser."""

import math
import re
from xml.etree import ElementTree

import pytest

from runner.reports.charts import Chart, Line, Mark, sharing_steps
from runner.reports.svg import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    compact,
    draw,
    linear_axis,
    log_axis,
    log_ticks,
    ticks,
)


def drawn(*points: tuple[int, float], **details) -> ElementTree.Element:
    chart = Chart(title="loss", lines=[Line(name="a", points=points, tone="train")], **details)
    return ElementTree.fromstring(draw(chart))


def paths(svg: ElementTree.Element, axis: str = "linear") -> list[str]:
    group = next(g for g in svg.iter("g") if g.get("class") == f"scale {axis}")
    return [path.get("d", "") for path in group.iter("path") if path.get("class") is None]


def test_a_curve_goes_from_edge_to_edge_inside_of_its_frame() -> None:
    (path,) = paths(drawn((0, 1.0), (50, 3.0), (100, 2.0)))
    places = [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]
    assert [x for x, _ in places] == [LEFT, (LEFT + RIGHT) / 2, RIGHT]
    assert all(TOP <= y <= BOTTOM for _, y in places)
    assert places[1][1] < places[2][1] < places[0][1]


def test_a_value_that_is_no_number_is_a_gap_and_a_cross() -> None:
    svg = drawn((0, 1.0), (1, 1.0), (2, math.nan), (3, 1.0), (4, 2.0))
    (path,) = paths(svg)
    assert path.count("M") == 2 and path.count("L") == 2
    assert sum(node.get("class") == "no-number" for node in svg.iter("path")) == 2  # of both axes


def test_zero_is_a_gap_on_the_logarithmic_axis_alone() -> None:
    svg = drawn((0, 1.0), (1, 0.0), (2, 10.0))
    assert paths(svg)[0].count("M") == 1 and paths(svg, "log")[0].count("M") == 2


@pytest.mark.parametrize(
    "values",
    [
        (0.0,),
        (1.0, 1.0),
        (-5.0, -5.0),
        (1e-300, 1e149),
        (-1e149, 1e149),
        (math.nan, math.inf),
        (1e300, 1.0),
        (0.1 + 1e-12, 0.1),
        (1e-320, 1.0),
    ],
)
def test_any_values_can_be_drawn(values: tuple[float, ...]) -> None:
    svg = drawn(*enumerate(values))
    assert "nan" not in ElementTree.tostring(svg, "unicode").replace("no-number", "")


def test_a_mark_outside_of_the_steps_is_left_out() -> None:
    marks = [Mark(step=step, label=f"job {step}", kind="job") for step in (5, 50)]
    svg = drawn((0, 1.0), (10, 2.0), marks=marks)
    assert [n.text for n in svg.iter("text") if "job" in (n.text or "")] == ["job 5"]


def test_values_outside_of_the_window_are_left_out() -> None:
    (path,) = paths(drawn((0, 1.0), (1, 2.0), (2, 1e6), window=(1.0, 2.0)))
    assert path.count("M") == 1 and path.count("L") == 1


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 345, most=6) == [0, 100, 200, 300]
    assert ticks(0.0182, 0.0411, most=6) == [0.02, 0.025, 0.03, 0.035, 0.04]
    assert log_ticks(0.05, 20, most=6) == pytest.approx([0.1, 0.3, 1, 3, 10])
    assert len(log_ticks(1e-30, 1e30, most=6)) <= 7
    assert len(log_ticks(3.1, 4.2, most=6)) > 1


def test_numbers_are_told_in_short() -> None:
    shown = {0.05: "0.05", 3200: "3200", 12_000: "12k", 1_500_000: "1.5M", 2e9: "2G", 1e-7: "1e-07"}
    assert {value: compact(value) for value in shown} == shown


def test_an_axis_begins_at_zero_where_that_is_near() -> None:
    assert linear_axis([0.1, 1.0]).low == 0.0
    assert linear_axis([0.9, 1.0]).low > 0.8
    assert log_axis([-1.0, 0.5, 2.0]).low == pytest.approx(0.5 / 1.15)


def test_charts_of_one_page_share_their_steps() -> None:
    lines = [Line(name="a", points=points, tone="one") for points in ([(0, 1.0)], [(80, 2.0)])]
    charts = sharing_steps([Chart(title="x", lines=[line]) for line in lines])
    svgs = [ElementTree.fromstring(draw(chart)) for chart in charts]
    assert [(svg.get("data-first"), svg.get("data-last")) for svg in svgs] == [("0", "80")] * 2
    assert sharing_steps([]) == []


def test_what_a_mark_says_is_shown_as_text() -> None:
    evil = "</text><script>x</script>&"
    svg = drawn((0, 1.0), (10, 2.0), marks=[Mark(step=5, label=evil, kind="job")])
    assert evil in [node.text for node in svg.iter("text")]


def test_labels_of_marks_do_not_lie_over_each_other() -> None:
    marks = [Mark(step=step, label=f"job {step}", kind="job") for step in (40, 41, 42, 80)]
    best = Mark(step=81, label="best", kind="best")
    svg = drawn((0, 1.0), (100, 2.0), marks=[*marks, best])
    groups = [node for node in svg.iter("g") if "mark" in node.get("class", "").split()]
    assert len(groups) == 5 and all(group.find("line") is not None for group in groups)
    labels = [text.text for group in groups if (text := group.find("text")) is not None]
    assert labels == ["job 40", "best"]

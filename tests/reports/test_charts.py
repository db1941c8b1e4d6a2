"""Curves as data: thinned without losing what matters, and safe inside a page."""

import json
import math
import random

import pytest

from runner.reports.charts import MOST_POINTS, Chart, Line, spans_decades, thinned, to_json


def line(*points: tuple[int, float], name: str = "train") -> Line:
    return Line(name=name, points=points, tone="train")


def test_few_points_stay_as_they_are() -> None:
    points = [(step, float(step)) for step in range(MOST_POINTS)]
    assert thinned(points) == points


def test_thousands_of_points_keep_ends_spikes_and_order() -> None:
    draw = random.Random(0)
    points = [(step, draw.random()) for step in range(20_000)]
    points[777] = (777, 50.0)
    points[13_331] = (13_331, -50.0)
    found = thinned(points)
    assert len(found) <= MOST_POINTS + 2
    assert {points[0], points[-1], points[777], points[13_331]} <= set(found)
    assert [step for step, _ in found] == sorted(step for step, _ in found)


def test_a_value_that_is_no_number_survives_thinning() -> None:
    points = [(step, math.inf if step == 4_321 else 1.0) for step in range(10_000)]
    assert (4_321, math.inf) in thinned(points)


def test_all_of_a_long_curve_may_be_no_number() -> None:
    found = thinned([(step, math.nan) for step in range(5_000)])
    assert 2 < len(found) <= MOST_POINTS


def test_json_tells_what_is_no_number_and_closes_no_script() -> None:
    evil = "</script><b>&"
    chart = Chart(title="loss", lines=[line((1, math.nan), (2, -math.inf), (3, 0.5), name=evil)])
    text = to_json(chart)
    assert not set("<>&") & set(text)
    (told,) = json.loads(text)
    assert told == {"name": evil, "points": [[1, "nan"], [2, "-inf"], [3, 0.5]]}


@pytest.mark.parametrize(
    ("values", "has_log"),
    [((1.0, 2.0), True), ((-1.0, 0.0), False), ((0.0, 1.0), False), ((-1.0, 1.0, 2.0), True)],
)
def test_a_logarithmic_axis_is_there_where_it_shows_something(
    values: tuple[float, ...], has_log: bool
) -> None:
    assert Chart(title="", lines=[line(*enumerate(values))]).has_log is has_log


def test_a_loss_that_falls_far_spans_decades() -> None:
    assert spans_decades([10.0, 0.1, math.nan])
    assert (
        not spans_decades([10.0, 5.0]) and not spans_decades([1.0, 0.0]) and not spans_decades([])
    )

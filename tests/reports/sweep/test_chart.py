"""The chart of a sweep."""

from dataclasses import replace

from runner.reports.page import Charts
from runner.reports.sweep.chart import sweep_chart
from runner.reports.web_blocks import block_html
from tests.reports.sweeps import result, sweep, with_state


def test_the_best_runs_have_colours_and_the_others_are_faint(tmp_path) -> None:
    runs = [result(number, 1.0 + number, lr=str(number)) for number in range(9)]
    chart = sweep_chart(sweep([*runs, with_state(9, None, "failed", lr="9")]))
    assert [line.tone for line in chart.lines][:3] == ["faint"] * 3
    assert [line.name for line in chart.lines][3:5] == ["run 0 (lr=0)", "run 1 (lr=1)"]
    html = block_html(Charts(charts=[chart]), tmp_path)
    assert "3 others" in html and "run 8" not in html


def test_a_run_is_told_with_its_score(tmp_path) -> None:
    html = block_html(Charts(charts=[sweep_chart(sweep([result(0, 1.0, lr="1")]))]), tmp_path)
    assert "<i>run 0 (lr=1)</i> 1<" in html  # its last value is 1.1


def test_a_run_that_went_wrong_does_not_press_the_others_flat() -> None:
    runs = [result(number, 1.0 + number / 10, lr=str(number)) for number in range(8)]
    wild = replace(runs[0], number=8, score=1e9, curve=[(50, 1e9), (100, 2e9)])
    chart = sweep_chart(sweep([*runs, wild]))
    assert max(chart.values) < 10

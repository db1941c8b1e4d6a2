"""What a report of a sweep says, as Markdown and as HTML."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from runner.reports.markdown import to_markdown
from runner.reports.sweep.page import CURVES, PARAMETERS, sweep_page, took
from runner.reports.sweep.table import SweepResults
from runner.reports.web_page import to_html
from tests.reports.sweeps import result, sweep, with_state

EVIL = "<script>alert('x')</script> & a|b `c`"


def markdown(results: SweepResults, **pictures: int) -> str:
    return to_markdown(sweep_page(results, pictures=pictures))


def rows_under(text: str, title: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    _, _, below = text.partition(f"## {title}")
    lines = re.findall(r"^\|.*\|$", below.partition("\n## ")[0], re.MULTILINE)
    return [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines[2:]]


def test_runs_are_listed_best_first_and_the_others_below_with_their_reasons() -> None:
    runs = [
        result(0, 0.5, lr="0.1"),
        result(1, 0.1, lr="0.2"),
        with_state(2, 0.05, "running", lr="0.3"),
        replace(with_state(3, None, "failed", lr="0.4"), error="RuntimeError: boom\nmore"),
        result(4, math.nan, lr="0.5"),
        result(5, None, lr="0.6"),
    ]
    text = markdown(sweep(runs, total=9))
    assert [row[:3] for row in rows_under(text, "Runs by score")[:2]] == [
        ["1", "1", "0.1"],
        ["2", "0", "0.5"],
    ]
    assert "**Best**: run 1: 0.1 (lr=0.2)" in text
    assert "9: 4 completed, 1 running, 1 failed, 3 to come" in text
    below = text.partition("nor in any mean")[2]
    assert "| 3 | failed |  | 100 | lr=0.4 | RuntimeError: boom |" in below
    assert "its score is no number" in below and "it has no score" in below
    assert "| 2 | running | 0.05 |" in below


def test_where_more_is_better_it_says_so_and_ranks_so() -> None:
    text = markdown(sweep([result(0, 0.5, lr="1"), result(1, 0.9, lr="2")], mode="max"))
    assert rows_under(text, "Runs by score")[0][1] == "1"
    assert "higher is better" in text and "lower is better" not in text


def test_seeds_have_mean_deviation_count_and_interval() -> None:
    runs = [
        result(0, 0.4, lr="0.1", seed="1"),
        result(1, 0.6, lr="0.1", seed="2"),
        result(2, 0.1, lr="0.2", seed="1"),
    ]
    first, second = rows_under(markdown(sweep(runs)), "Over seeds")
    assert first == ["lr=0.2", "0.1", "", "1", "one run: no interval", "2"]
    assert second == ["lr=0.1", "0.5", "0.1414", "2", "-0.7706 to 1.771", "0, 1"]


def test_a_seed_is_told_as_noise_without_means_to_choose_by() -> None:
    runs = [result(n, 0.1 * n, lr=str(n // 2), seed=str(n % 2)) for n in range(4)]
    _, _, text = markdown(sweep(runs)).partition("## Effect of each key")
    assert "A seed is no setting to choose by" in text
    assert "| lr |" in text and "| seed |" not in text


def test_a_colour_is_told_of_where_some_have_none() -> None:
    runs = [result(number, 1.0, lr=str(number)) for number in range(7)]
    few, many = (markdown(sweep(runs[:n]), **{CURVES: n}) for n in (6, 7))
    assert "in colour" not in few and "the 6 best completed ones in colour" in many


def test_one_seed_each_is_told_as_what_it_is() -> None:
    runs = [result(number, 0.1 * number, lr=str(number), seed="1") for number in range(3)]
    text = markdown(sweep(runs))
    assert "what chance does is not known" in text
    assert rows_under(text, "Over seeds") == []


def test_effects_say_what_they_do_not_show() -> None:
    runs = [result(number, 0.1 * (number % 4), model="ab"[number % 2]) for number in range(8)]
    text = markdown(sweep(runs))
    assert "It does not show how keys work together" in text
    assert rows_under(text, "Effect of each key") == [
        ["a", "0.1", "-0.08374 to 0.2837", "4"],
        ["b", "0.2", "0.01626 to 0.3837", "4"],
    ]


def test_a_trend_is_told_in_the_direction_of_the_score() -> None:
    runs = [result(number, number / 10, lr=str(number)) for number in range(20)]
    assert "+1.00: lower values go with better scores" in markdown(sweep(runs))
    assert "+1.00: higher values go with better scores" in markdown(sweep(runs, mode="max"))


def test_a_trend_that_chance_may_make_is_none() -> None:
    runs = [result(number, (number * 7 % 20) / 10, lr=str(number)) for number in range(20)]
    assert "chance may do as much" in markdown(sweep(runs))


def test_a_diverged_run_is_named_and_left_out_of_the_means() -> None:
    runs = [result(number, 0.3 + number / 100, model="ab"[number % 2]) for number in range(9)]
    text = markdown(sweep([*runs, result(9, 1e7, model="a")]))
    assert "far from all others: run 9 (10000000)" in text
    assert all(float(row[1]) < 1 for row in rows_under(text, "Effect of each key"))


def test_a_sweep_without_a_result_is_a_report_too() -> None:
    text = markdown(sweep([with_state(0, None, "queued", lr="1")]))
    assert "No run is completed with a score yet" in text
    assert "| 0 | queued |" in text


def test_warnings_come_first() -> None:
    text = markdown(sweep([result(0, 0.5)], warnings=["The code differs."]))
    assert text.index("> **The code differs.**") < text.index("## Runs by score")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "input", "wbr"):
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_html_is_one_file_and_escapes_what_runs_say(tmp_path: Path) -> None:
    for name in (CURVES, PARAMETERS):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    runs = [
        result(0, 0.5, model=EVIL),
        result(1, 0.6, model="b"),
        replace(with_state(2, None, "failed", model=EVIL), error=EVIL),
    ]
    results = sweep(
        runs, name=EVIL, command=EVIL, base={EVIL: EVIL}, warnings=[EVIL], code={EVIL: 1}
    )
    page = sweep_page(results, pictures={CURVES: 2, PARAMETERS: 0})
    html = to_html(page, tmp_path)
    parser = _Tags()
    parser.feed(html)
    assert parser.open == []
    assert parser.tags.count("script") == 2  # the values of the chart, and the page's own
    assert html.count("&lt;script&gt;") >= 8
    sources = [source for source in parser.sources if not source.startswith("#")]
    assert len(sources) == 1  # the curves are drawn in the page
    assert sources[0].startswith("data:image/png;base64,")
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


def test_the_markdown_escapes_too_and_links_the_pictures_beside_it() -> None:
    text = markdown(sweep([result(0, 0.5, model=EVIL), result(1, 0.6, model="b")]), **{CURVES: 2})
    assert "<script>" not in text
    assert "a\\|b" in text
    assert f"]({CURVES})" in text


def test_a_long_table_is_folded(tmp_path: Path) -> None:
    runs = [result(number, float(number), model=str(number)) for number in range(60)]
    html = to_html(sweep_page(sweep(runs), pictures={}), tmp_path)
    assert "<summary>35 more</summary>" in html


def test_times_are_told_as_people_do() -> None:
    assert [took(seconds) for seconds in (None, 1.23, 40, 720, 11_160)] == [
        "",
        "1.2 s",
        "40 s",
        "12 min",
        "3.1 h",
    ]

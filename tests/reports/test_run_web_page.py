"""The page of a run in a real browser: whole, quiet, and deaf to what a run has written."""

import json
from pathlib import Path

import pytest

from runner.cli.pages.run_report import report_run
from runner.files import write_json_atomically
from runner.run.directory import RunDirectory
from runner.run.provenance import read_provenance, write_provenance
from tests.browser import Browser
from tests.reports.run_pages import EVIL, full_run


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported(full_run(tmp_path_factory.mktemp("runs") / "full"))


@pytest.fixture(scope="module")
def evil_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "evil"
    return reported(full_run(path, text=EVIL, state="failed", error=f"{EVIL}\n{EVIL}"))


def reported(run: RunDirectory) -> Path:
    report_run(run)
    return run.report / "report.html"


def tip(browser: Browser) -> str:
    return browser.run(
        "const tip = [...document.querySelectorAll('.tip')].find(t => !t.hidden);"
        "return tip ? tip.textContent : ''"
    )


def hover_loss(browser: Browser, *, right: int = 0) -> None:
    browser.hover(browser.find(".chart svg"), right=right)


def test_it_asks_for_nothing_and_the_console_is_silent(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.requests() == [page.resolve().as_uri()]
    hover_loss(browser)
    assert browser.messages() == []


def test_the_policy_forbids_requests_and_other_scripts(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run(
        "document.body.append(Object.assign(document.createElement('script'),"
        "  {textContent: \"document.title='bad'\"}));"
        "document.body.append(Object.assign(new Image(), {src: 'file:///nowhere.png'}));"
        "fetch('http://127.0.0.1:9/').catch(() => {})"
    )
    refused = browser.messages()
    assert browser.driver.title.startswith("Run ")
    assert all(any(kind in line for line in refused) for kind in ("script-src", "img-src"))
    assert any("connect-src" in line for line in refused)


def test_curves_are_drawn(browser: Browser, page: Path) -> None:
    browser.open(page)
    titles = [node.text for node in browser.find_all(".chart figcaption b")]
    assert titles[:3] == ["loss", "accuracy", "lr"] and "memory of the run, GiB" in titles
    sizes = browser.run(
        "return [...document.querySelectorAll('.chart svg')].map(svg => {"
        "  const box = svg.querySelector('.scale path').getBBox();"
        "  return [svg.clientWidth, box.width] })"
    )
    assert all(width > 300 and drawn > 400 for width, drawn in sizes)
    marks = [node.text for node in browser.find_all(".chart:first-child .mark")]
    assert marks[:2] == ["job 2", "best"]


def test_the_pointer_and_the_arrow_keys_tell_step_and_values(browser: Browser, page: Path) -> None:
    browser.open(page)
    hover_loss(browser)
    at_middle = tip(browser)
    assert (
        at_middle.startswith("step 95 train 0.43")
        and "train" in at_middle
        and "evaluation" in at_middle
    )
    hover_loss(browser, right=120)
    assert tip(browser) not in ("", at_middle)
    chart = browser.find(".chart svg")
    browser.hover(browser.find("h2"))
    assert tip(browser) == ""
    browser.run("arguments[0].focus({preventScroll: true})", chart)
    chart.send_keys("\ue012")  # the arrow to the left
    assert tip(browser).startswith("step 200")
    chart.send_keys("\ue012")
    assert tip(browser).startswith("step 195")


def test_a_value_that_is_no_number_is_told(browser: Browser, page: Path) -> None:
    browser.open(page)
    chart = browser.find(".chart svg")
    browser.run("arguments[0].focus()", chart)
    chart.send_keys(*["\ue012"] * 31)
    assert tip(browser).startswith("step 50 train nan")


def test_the_switch_shows_the_other_axis(browser: Browser, page: Path) -> None:
    browser.open(page)

    def shown() -> list[bool]:
        return [
            browser.find(f".chart .scale.{axis}").value_of_css_property("display") != "none"
            for axis in ("linear", "log")
        ]

    assert shown() == [False, True]  # the loss falls by more than a decade
    hover_loss(browser)
    high = float(browser.find(".hair circle").get_attribute("cy"))
    browser.find(".chart .switch").click()
    assert shown() == [True, False]
    hover_loss(browser)
    assert float(browser.find(".hair circle").get_attribute("cy")) > high + 20


def test_without_scripts_everything_is_there(browser: Browser, page: Path) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.open(page)
    assert browser.find(".chart .scale.log path").is_displayed()
    browser.find(".chart .switch").click()
    assert browser.find(".chart .scale.linear path").is_displayed()
    assert not browser.find(".search").is_displayed()
    assert browser.find_all(".command button") == []


def test_what_a_run_has_written_stays_text(browser: Browser, evil_page: Path) -> None:
    browser.open(evil_page)
    browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    hover_loss(browser)
    assert tip(browser) != ""
    assert browser.driver.title.startswith("Run <-script><img")
    assert browser.messages() == []
    assert browser.requests() == [evil_page.resolve().as_uri()]
    assert browser.find_all("img:not([src^='data:image/png'])") == []
    for place in ("h1", ".problem", ".command code", ".config", "pre .new", ".sample", "td", "dd"):
        texts = browser.run(
            "return [...document.querySelectorAll(arguments[0])].map(n => n.textContent)", place
        )
        assert any("<img src=x " in text for text in texts), place


@pytest.mark.parametrize("width", [320, 390, 768, 1200])
def test_no_width_makes_it_overflow(browser: Browser, evil_page: Path, width: int) -> None:
    browser.resize(width)
    browser.open(evil_page)
    browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.overflow() <= 0


def test_light_and_dark_are_readable(browser: Browser, page: Path) -> None:
    papers = []
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        browser.open(page)
        colors = browser.run(
            "const style = getComputedStyle(document.querySelector('header'));"
            "return [style.backgroundColor, style.color].map("
            "  text => text.match(/\\d+/g).slice(0, 3).map(Number))"
        )
        paper, ink = (sum(color) / 3 for color in colors)
        assert abs(paper - ink) > 150
        papers.append(paper)
    assert papers[0] > 200 > 60 > papers[1]


def test_words_run_from_right_to_left_and_plates_as_in_the_picture(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    # Where each letter of the text stands, from the left.
    places = browser.run(
        "return [...document.querySelectorAll('.sample .text')].map(node => {"
        "  const text = node.firstChild, range = document.createRange();"
        "  return [text.data, [...text.data].map((_, i) => {"
        "    range.setStart(text, i); range.setEnd(text, i + 1);"
        "    return range.getBoundingClientRect().left })] })"
    )
    by_text = dict(places)
    plate, words = by_text["۱۲ب۳۴۵۶۷"], by_text["کتاب خوب"]
    assert plate == sorted(plate)
    assert words == sorted(words, reverse=True)


def test_wrong_samples_come_first(browser: Browser, page: Path) -> None:
    browser.open(page)
    kinds = [node.get_attribute("class") for node in browser.find_all(".sample")]
    assert kinds == ["sample wrong"] * 3 + ["sample right"]
    assert browser.find(".sample img").size["width"] > 60


def test_the_config_is_searched_and_shows_what_was_given(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('.search').closest('details').open = true")
    assert [node.text for node in browser.find_all(".config .marked")] == ["  lr: 0.002"]
    browser.find(".search").send_keys("adamw")
    shown = [node.text.strip() for node in browser.find_all(".config span") if node.is_displayed()]
    assert shown == ["optimizer:", "_target_: torch.optim.AdamW"]


def test_a_command_is_copied(browser: Browser, page: Path) -> None:
    browser.open(page)
    button = browser.find(".command button")
    button.click()
    browser.run("return new Promise(done => setTimeout(done, 100))")
    assert button.text == "copied"


def test_it_prints_all_of_itself(browser: Browser, page: Path) -> None:
    browser.open(page)
    printed = browser.driver.print_page()
    assert len(printed) > 40_000
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not browser.find("nav").is_displayed()
    assert browser.find(".chart svg").is_displayed()
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.fixture
def wide_page(tmp_path: Path) -> Path:
    """A page whose evaluations have long names, many figures and many overrides."""
    run = full_run(tmp_path / "wide")
    file = run.evaluations / "test" / "evaluation.json"
    metrics = dict.fromkeys(("loss", "cer", "whole", "accuracy", "macro_f1"), 0.1234)
    overrides = ["data=plates_mixed", "task.beam_width=40", "data.evaluation_batch_size=512"]
    told = {"name": "test_limit_batches_1_beam_width_4", "values": metrics, "overrides": overrides}
    write_json_atomically(file, {**json.loads(file.read_text()), **told})
    return reported(run)


def test_tables_are_whole_on_paper_and_the_config_too(browser: Browser, wide_page: Path) -> None:
    browser.resize(718)  # A4 with the browser's own margins
    browser.open(wide_page)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    overflows = browser.run(
        "return [...document.querySelectorAll('table')].map("
        "  table => table.getBoundingClientRect().right - document.body.clientWidth)"
    )
    assert overflows and max(overflows) <= 0
    assert browser.find("pre.config").is_displayed()
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert not browser.find("pre.config").is_displayed()


@pytest.mark.parametrize("width", [420, 1280])
def test_no_word_of_a_table_breaks_in_its_middle(
    browser: Browser, wide_page: Path, width: int
) -> None:
    browser.resize(width)
    browser.open(wide_page)
    broken = browser.run(
        """
        const found = [];
        for (const cell of document.querySelectorAll("td.left bdi"))
          for (const node of cell.childNodes)
            for (const { index, 0: word } of (node.textContent || "").matchAll(/[a-z]+/g)) {
              const range = document.createRange();
              range.setStart(node, index); range.setEnd(node, index + word.length);
              if (range.getClientRects().length > 1) found.push(word);
            }
        return found;
        """
    )
    assert broken == []


def test_rows_are_not_tall_for_columns_that_are_out_of_sight(
    browser: Browser, wide_page: Path
) -> None:
    heights = []
    for width in (420, 1280):
        browser.resize(width)
        browser.open(wide_page)
        heights.append(browser.find("#evaluations tbody tr").size["height"])
    assert heights[0] <= heights[1]


def test_a_run_with_nothing_in_it_has_a_page(browser: Browser, tmp_path: Path) -> None:
    run = full_run(tmp_path / "new", state="queued", step=0, score=None, best_step=None, jobs=0)
    for name in ("metrics.jsonl", "plots/samples.png", "evaluations/test/evaluation.json"):
        (run.path / name).unlink()
    browser.open(reported(run))
    assert browser.messages() == []
    assert browser.find(".state").text == "queued"
    assert browser.find_all(".chart") == []


def test_all_charts_of_a_run_have_the_same_steps(browser: Browser, page: Path) -> None:
    browser.open(page)
    ends = {
        (svg.get_attribute("data-first"), svg.get_attribute("data-last"))
        for svg in browser.find_all(".chart svg")
    }
    assert ends == {("5", "200")}


@pytest.mark.parametrize("width", [320, 500, 760])
def test_a_plate_stands_in_one_line(browser: Browser, page: Path, width: int) -> None:
    browser.resize(width)
    browser.open(page)
    heights = browser.run(
        "return [...document.querySelectorAll('.sample bdo.text')]"
        ".filter(node => node.textContent.length === 8).map(node => node.getClientRects().length)"
    )
    browser.resize(1200)
    assert heights and set(heights) == {1}


def test_a_job_without_a_row_does_not_move_the_end_of_the_run(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    provenance = read_provenance(run.provenance)
    assert "- **Ended**:" in written(run)
    jobs = provenance["jobs"]
    later = {**jobs[-1], "time": jobs[-1]["time"] + 86_400}
    write_provenance(run.provenance, {**provenance, "jobs": [*jobs, later]})
    assert "- **Last value**:" in written(run) and "- **Ended**:" not in written(run)


def written(run: RunDirectory) -> str:
    return reported(run).with_suffix(".md").read_text(encoding="utf-8")

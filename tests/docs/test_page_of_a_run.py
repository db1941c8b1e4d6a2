"""The section of docs/looking.md on the page of a run: its command, and the parts it names."""

import re
import shlex
from pathlib import Path

import pytest

from runner.reports.charts import MOST_POINTS
from tests.commands.command import call
from tests.reports.run_pages import full_run

DOCS = Path(__file__).parents[2] / "docs"
SECTION = (DOCS / "looking.md").read_text(encoding="utf-8").partition("## A page of a run")[2]
SECTION = SECTION.partition("\n## ")[0]
PARTS = re.findall(r"^\| ([a-z ]+) \| ", SECTION, re.MULTILINE)[1:]
NEEDS_A_TEST_SPLIT = "reliability"  # tests/cli/pages/test_run_report.py


@pytest.fixture
def page(tmp_path: Path) -> str:
    full_run(tmp_path / "RUN_DIR", state="failed", error="RuntimeError: boom")
    (command,) = re.findall(r"^python -m runner (.*?) *#", SECTION, re.MULTILINE)
    made = call(*shlex.split(command), cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout == "RUN_DIR/report/report.html\n"
    return (tmp_path / "RUN_DIR" / "report" / "report.html").read_text(encoding="utf-8")


def test_every_part_is_on_the_page(page: str) -> None:
    headings = [heading.lower() for heading in re.findall(r"<h2>(.*?)</h2>", page)]
    assert PARTS[0] == "head" and page.count("<header>") == 1
    assert headings == [part for part in PARTS[1:] if part != NEEDS_A_TEST_SPLIT]


def test_the_figures_and_links_of_the_section_are_right(page: str) -> None:
    assert f"more than {MOST_POINTS} points" in SECTION
    assert "python -m runner resume" in page and "python -m runner evaluate" in page
    for file in re.findall(r"\]\((\w+\.md)", SECTION):
        assert (DOCS / file).is_file()

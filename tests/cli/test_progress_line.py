"""`evaluate` and `export` show how far they are on a terminal, and nothing in a pipe."""

import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest

from runner.build.trained import exporting
from runner.cli import main
from runner.errors import RunError
from runner.inference import progress
from tests.trained import plate_run

__all__ = ["plate_run"]  # a fixture


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def said(stream: io.StringIO, *words: str, code: int = 0) -> list[str]:
    """Run the command with `stream` as its stderr; return the lines it has shown and cleared."""
    with contextlib.redirect_stderr(stream), contextlib.redirect_stdout(io.StringIO()):
        assert main.run(words) == code, stream.getvalue()
    return re.findall(r"\x1b\[K(.*?)\r", stream.getvalue())


@pytest.fixture
def run(plate_run: Path, tmp_path: Path) -> str:
    return str(shutil.copytree(plate_run, tmp_path / "run"))


def test_evaluate_counts_its_batches(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PAUSE", 0.0)
    batches = "data.evaluation_batch_size=3"
    shown = said(terminal := Terminal(), "evaluate", run, batches)
    assert shown[0] == "loading the data"
    assert shown[-3:] == [f"test: {number} of 3 batches" for number in (1, 2, 3)]
    assert terminal.getvalue().endswith("\x1b[K")  # the line is gone
    assert said(pipe := io.StringIO(), "evaluate", run, batches) == []
    assert pipe.getvalue() == ""


def test_export_names_what_it_makes(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_form(*_arguments: object, **_options: object) -> None:
        raise RunError("it has no form")

    monkeypatch.setattr(exporting, "trace", no_form)
    shown = said(Terminal(), "export", run, "--torch-export", code=1)
    assert shown == ["copying the weights", "tracing the network"]
    assert said(pipe := io.StringIO(), "export", run) == [] and pipe.getvalue() == ""


def test_fast_batches_are_told_a_few_times_a_second() -> None:
    told: list[str] = []
    count = progress.Batches(told.append, "test", None)
    for _ in range(1000):
        count()
    assert told[0] == "test: 1 batches" and len(told) < 100

"""Every command of docs/using.md, on a run that was trained a little."""

import contextlib
import io
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.commands.command import call
from tests.trained import SMALL, pictures, plate_run

__all__ = ["pictures", "plate_run"]  # fixtures

PAGE = (Path(__file__).parents[2] / "docs" / "using.md").read_text(encoding="utf-8")
PAGE = PAGE[PAGE.index("## In Python") :]  # what comes before: test_using_evaluate.py
CODE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line.partition(" #")[0])[3:]
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
WITH_ONNX = [command for command in COMMANDS if {"--onnx", "onnx"} & set(command)]
QUICK = [command for command in COMMANDS if command not in WITH_ONNX]
READING = ("--format", "jsonl")


@pytest.fixture
def folder(plate_run: Path, pictures: Path, tmp_path: Path) -> Path:
    """Where RUN_DIR and PICTURES of the page are."""
    shutil.copytree(plate_run, tmp_path / "RUN_DIR")
    pictures.rename(tmp_path / "PICTURES")
    return tmp_path


def done(command: list[str], folder: Path) -> str:
    more = {"predict": READING, "export": ()}.get(command[0], (*SMALL, "trainer.max_steps=2"))
    told = call(*command, *more, cwd=folder)
    assert told.returncode == 0, told.stderr + told.stdout
    return told.stdout


def texts(told: str) -> list[str]:
    return [json.loads(line)["text"] for line in told.splitlines()]


def test_the_page_has_the_commands_that_are_tried() -> None:
    assert len(QUICK) == 4 and len(WITH_ONNX) == 2 and len(CODE) == 2


def test_the_quick_commands_of_the_page_in_their_order(folder: Path) -> None:
    told = {command[0]: done(command, folder) for command in QUICK}
    assert told["export"].startswith("exported step 2 to plates (")
    of_step = call("predict", "RUN_DIR", "PICTURES", "--step", "2", *READING, cwd=folder)
    assert len(texts(told["predict"])) == 3
    assert texts(told["predict"]) == texts(of_step.stdout)
    (taken,) = folder.glob("outputs/plate_ocr/*/init_weights.json")
    assert "plates" in taken.read_text(encoding="utf-8")
    for file in re.findall(r"^\| `([\w./]+)`", PAGE, re.MULTILINE):
        is_asked = file in ("model.pt2", "model.onnx")
        assert is_asked != (folder / "RUN_DIR/export" / file).exists(), file


@pytest.mark.parametrize("code", CODE, ids=["load_reader", "Run"])
def test_the_code_of_the_page_runs(code: str, folder: Path) -> None:
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as said:
        names: dict[str, object] = {}
        exec(code, names)
    assert "reader" in names or said.getvalue().count("PICTURES/") == 3


@pytest.mark.slow
def test_the_onnx_model_of_the_page_reads_as_the_original(folder: Path) -> None:
    exported, read = (done(command, folder) for command in WITH_ONNX)
    assert exported.count("same predictions as the original for 8 samples of test") == 2
    original = call("predict", "RUN_DIR", "PICTURES", *READING, cwd=folder)
    assert texts(read) == texts(original.stdout)

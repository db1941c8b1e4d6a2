"""Each command of docs/using.md that evaluates or predicts does what the page says."""

import csv
import io
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from runner.run.evaluations import read_evaluations
from tests.commands.command import call, only_run

PAGE = (Path(__file__).parents[2] / "docs" / "using.md").read_text(encoding="utf-8")
PAGE = PAGE[: PAGE.index("## In Python")]  # the rest: test_using.py
COMMANDS = [
    line.partition(" #")[0].strip()
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if re.search(r"runner (evaluate|predict) ", line)
]
SMALL = (
    "data.train_size=32",
    "data.evaluation_size=8",
    "data.test_size=8",
    "model.width=4",
    "model.hidden_size=8",
    "hardware.threads=1",
    "trainer.max_steps=8",
    "trainer.evaluate_every=4 steps",
    "checkpoint.every=4 steps",
    "trackers=none",
    "callbacks=none",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where RUN_DIR reads plates, PICTURES has some, and PLATES_DIR has some with their texts."""
    folder = tmp_path_factory.mktemp("using")
    done = call("+experiment=plate_ocr", *SMALL, cwd=folder)
    assert done.returncode == 0, done.stderr
    shutil.move(only_run(folder, "plate_ocr"), folder / "RUN_DIR")
    rows = ["file,text,split"]
    for number in range(3):
        for name in ("PICTURES/more", "PLATES_DIR"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.effect_noise((128, 32), 40 + number).save(folder / f"{name}/{number}.png")
        rows.append(f"{number}.png,۱۲ب۳۴۵۶۷,{'val' if number else 'train'}")
    (folder / "PLATES_DIR/labels.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder


def kept(folder: Path, name: str):
    return next(e for e in read_evaluations(folder / "RUN_DIR/evaluations") if e.name == name)


def is_of_test(folder: Path, said: str) -> bool:
    return kept(folder, "test").num_samples == 8 and "in training" in said


def is_of_step_4(folder: Path, said: str) -> bool:
    return "weights of step 4" in said and kept(folder, "evaluation_step_4").step == 4


def is_json(folder: Path, said: str) -> bool:
    return json.loads(said) == kept(folder, "train").values


def is_of_more(folder: Path, said: str) -> bool:
    return kept(folder, "test_test_size_40_beam_width_4").num_samples == 40


def is_of_real(folder: Path, said: str) -> bool:
    return kept(folder, "real").num_samples == 2


def has_files(folder: Path, said: str) -> bool:
    return [line.split()[0] for line in said.splitlines()[1:]] == FILES


def is_written(folder: Path, said: str) -> bool:
    rows = csv.DictReader(io.StringIO((folder / "readings.csv").read_text(encoding="utf-8")))
    return said == "" and [row["file"] for row in rows] == FILES


def is_lines(folder: Path, said: str) -> bool:
    return [json.loads(line)["file"] for line in said.splitlines()] == FILES


FILES = [f"PICTURES/more/{number}.png" for number in range(3)]
EVALUATE, PREDICT = "python -m runner evaluate RUN_DIR", "python -m runner predict RUN_DIR"
CHECKS: dict[str, Callable[[Path, str], bool]] = {
    EVALUATE: is_of_test,
    f"{EVALUATE} --split evaluation --step 4": is_of_step_4,
    f"{EVALUATE} --split train --json": is_json,
    f"{EVALUATE} data.test_size=40 task.beam_width=4": is_of_more,
    f"{EVALUATE} --split evaluation data=ocr_folder data.root=PLATES_DIR --name real": is_of_real,
    f"{PREDICT} PICTURES": has_files,
    f"{PREDICT} PICTURES --output readings.csv": is_written,
    f"find PICTURES -name '*.png' -print0 | {PREDICT} - --format jsonl": is_lines,
}


def test_every_command_of_the_page_is_known_here() -> None:
    assert set(COMMANDS) == set(CHECKS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = b"".join(f"{file}\0".encode() for file in FILES)  # what `find` says
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(names)))
    words = shlex.split(command.rpartition("|")[2])[3:]
    done = call(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert CHECKS[command](folder, done.stdout)


def test_the_python_of_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = (
        block
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        if ".evaluate(" in block
    )
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["found"] == kept(folder, "evaluation_beam_width_4")


def test_the_plates_that_the_page_writes_are_those_of_the_test_split(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = (
        block
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        if "labels.csv" in block
    )
    monkeypatch.chdir(folder)
    exec(code, {})
    own = ["data.test_size=20", "data.train_size=32000"]
    read = call("evaluate", "RUN_DIR", "--json", *own, cwd=folder)
    (command,) = re.findall(r"`(evaluate RUN_DIR .* data.root=TEST_PLATES .*)`", PAGE)
    again = call(*shlex.split(command), "--json", cwd=folder)
    assert read.returncode == again.returncode == 0, read.stderr + again.stderr
    assert json.loads(again.stdout) == json.loads(read.stdout)
    predicted = call("predict", "RUN_DIR", "TEST_PLATES", cwd=folder)
    assert predicted.stderr.endswith("20 pictures read\n")


def test_a_run_from_python_is_evaluated_as_the_page_says(tmp_path: Path) -> None:
    (code,) = re.findall(r"`(Trainer\(model=.*?\))`", PAGE)
    assert code == 'Trainer(model=..., data=...).load("RUN_DIR").evaluate("test")'
    import torch
    from torch.utils.data import TensorDataset

    from runner import Trainer

    inputs = torch.linspace(0, 1, 16).unsqueeze(1)
    data = {"train": TensorDataset(inputs, inputs), "test": TensorDataset(inputs, inputs)}

    def trainer() -> Trainer:
        return Trainer(
            model=torch.nn.Linear(1, 1),
            data=data,
            loss="mse",
            options={"trainer.max_epochs": None, "trainer.max_steps": 2},
            trackers={},
            callbacks={},
            directory=tmp_path / "RUN_DIR",
        )

    trained = trainer()
    trained.fit()
    assert trainer().load(str(tmp_path / "RUN_DIR")).evaluate("test") == trained.evaluate("test")

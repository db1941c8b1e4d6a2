"""What docs/reading_plates.md says of decoding, confidence and the report, on a small run."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from runner.build.trained.inference import load_reader
from runner.config.compose import compose
from runner.config.validate import validate
from runner.metrics.calibration import Calibration, Uncalibrated
from tests.commands.command import call, only_run

PAGE = (Path(__file__).parents[2] / "docs" / "reading_plates.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.partition(" #")[0])[3:]
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
TRAINING = [command for command in COMMANDS if command[0].startswith("+experiment")]
SMALL = (
    "data.train_size=64",
    "data.evaluation_size=24",
    "data.test_size=24",
    "trainer.max_steps=4",
    "trainer.evaluate_every=2 steps",
    "trackers=none",
    "~callbacks.progress_bar",
)
SHAPE = "[۱-۹]{2}[بتجدژسصطعقلمنهوی][۱-۹]{4}[۰-۹]|[بتجدژسصطعقلمنهوی][۰-۹]{4}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where RUN_DIR was trained a little under the two shapes of the page."""
    folder = tmp_path_factory.mktemp("plates")
    trained = call(*TRAINING[-1], *SMALL, cwd=folder)
    assert trained.returncode == 0, trained.stderr
    shutil.move(only_run(folder, "plate_ocr"), folder / "RUN_DIR")
    (folder / "PICTURES").mkdir()
    for number, grey in enumerate((0, 90, 200)):
        Image.new("L", (128, 32), grey).save(folder / f"PICTURES/{number}.png")
    return folder


@pytest.mark.parametrize("command", TRAINING, ids=lambda command: command[-1])
def test_each_training_of_the_page_is_a_valid_config(command: list[str]) -> None:
    assert len(TRAINING) == 3
    validate(compose(command))


def test_what_is_read_follows_the_grammar_and_is_calibrated(folder: Path) -> None:
    (command,) = (command for command in COMMANDS if command[0] == "predict")
    told = call(*command, "--format", "jsonl", cwd=folder)
    assert told.returncode == 0, told.stderr
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert len(rows) == 3 and all(re.fullmatch(SHAPE, row["text"]) for row in rows)
    reader = load_reader(folder / "RUN_DIR")
    assert isinstance(reader.calibration, Calibration) and reader.calibration.count == 24
    assert f"confidence: {reader.calibration}\n" in told.stderr
    own = load_own(folder)
    assert [row["confidence"] for row in rows] == pytest.approx(reader.calibration(own), abs=1e-4)
    assert reader.calibration(own) != pytest.approx(own, abs=1e-3)


def load_own(folder: Path) -> list[float]:
    """Return the confidences as the model has them, from a copy without the maps."""
    shutil.copytree(folder / "RUN_DIR", folder / "COPY", dirs_exist_ok=True)
    (folder / "COPY/calibration.json").unlink()
    reader = load_reader(folder / "COPY")
    assert isinstance(reader.calibration, Uncalibrated)
    return [float(row["confidence"]) for row in reader.read([folder / "PICTURES"])]


def test_the_report_of_a_run_needs_no_other_file(folder: Path) -> None:
    (command,) = (command for command in COMMANDS if command[0] == "report")
    made = call(*command, cwd=folder)
    assert made.returncode == 0, made.stderr
    assert made.stdout == "RUN_DIR/report/report.html\n"
    page = (folder / "RUN_DIR/report/report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 24 + 1  # single samples, reliability
    assert "<svg" in page and 'src="../' not in page
    text = (folder / "RUN_DIR/report/report.md").read_text(encoding="utf-8")
    assert "## Reliability of the confidence on test" in text
    assert "24 predictions with the weights of step" in text
    assert "| whole |" in text and "| cer |" in text
    assert (folder / "RUN_DIR/report" / "../plots/samples.png").is_file()

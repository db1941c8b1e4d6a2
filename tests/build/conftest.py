import shutil
from pathlib import Path

import pytest
from PIL import Image

from runner.files import write_json_atomically
from tests.commands.command import call, only_run

SMALL = (
    "task.grammar=DDLDDDDD",  # it reads something, however little it knows
    "data.train_size=16",
    "data.evaluation_size=8",
    "data.test_size=8",
    "model.width=2",
    "model.hidden_size=8",
    "trainer.max_steps=4",
    "trainer.evaluate_every=2 steps",
    "checkpoint.every=2 steps",
    "callbacks=none",
    "trackers=none",
)


@pytest.fixture(scope="session")
def plate_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has been trained to read plates, a little: never change it, copy it."""
    folder = tmp_path_factory.mktemp("trained")
    done = call("+experiment=plate_ocr", *SMALL, cwd=folder)
    assert done.returncode == 0, done.stderr
    run = only_run(folder, "plate_ocr")
    learned = {"slope": 0.5, "offset": 0.1, "count": 8, "right": 4}  # it has learned too little
    write_json_atomically(run / "calibration.json", {"4": learned})
    return run


@pytest.fixture
def own_plate_run(plate_run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be changed."""
    return Path(shutil.copytree(plate_run, tmp_path / "own_run"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with three pictures that differ."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, size in enumerate([(128, 32), (64, 32), (200, 50)]):
        picture = Image.linear_gradient("L").resize(size).rotate(90 * number)
        picture.save(folder / f"{number}.png")
    return folder

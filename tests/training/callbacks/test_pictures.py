import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from runner.config.options import TrainerOptions
from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row
from runner.tasks.classification import Classification
from runner.tasks.task import Predictions
from runner.training.callback import Fit
from runner.training.callbacks.learning_curves import LearningCurves
from runner.training.callbacks.sample_pictures import SamplePictures, _as_array
from runner.training.progress import Progress

PREDICTIONS = Predictions(["1", "2"], [0.9, 0.8], ["1", "3"])


@pytest.fixture
def fit(tmp_path):
    return Fit(
        directory=RunDirectory(tmp_path / "run"),
        model=nn.Identity(),
        task=Classification(num_classes=2),
        options=TrainerOptions(),
        progress=Progress(step=7),
        planned_steps=100,
    )


def evaluate(callback, fit, *batches, split="evaluation"):
    callback.on_evaluation_start(fit, split, len(batches))
    for batch in batches:
        callback.on_evaluation_batch(fit, split, batch, PREDICTIONS)
    callback.on_evaluation_end(fit, split, {})


def test_curves_are_drawn_from_the_journal_when_training_ends(fit):
    journal = Journal(fit.directory.journal)
    journal.append(Row(1, 0.1, 0.0, "train", {"loss": 1.0}))
    journal.close()
    LearningCurves().on_fit_end(fit, "completed")
    assert (fit.directory.plots / "learning_curves.png").exists()


def test_the_first_pictures_of_the_last_evaluation_are_drawn(fit):
    callback = SamplePictures(num_pictures=2)
    dark = torch.zeros(2, 1, 32, 64, dtype=torch.uint8)
    evaluate(callback, fit, {"image": dark})
    evaluate(callback, fit, {"image": dark + 77}, {"image": dark})
    evaluate(callback, fit, {"image": dark}, split="test")
    assert not (fit.directory.plots / "samples.png").exists()
    callback.on_fit_end(fit, "completed")
    with Image.open(fit.directory.plots / "samples.png") as sheet:
        colors = {color for _, color in sheet.getcolors(maxcolors=1 << 20)}
    assert (77, 77, 77) in colors


@pytest.mark.parametrize(
    "batch", [{"target": torch.zeros(2)}, {"input": torch.zeros(2, 64)}, {"image": ["a", "b"]}]
)
def test_batches_without_pictures_are_passed_over(fit, batch):
    callback = SamplePictures()
    evaluate(callback, fit, batch)
    callback.on_fit_end(fit, "completed")
    assert not fit.directory.plots.exists()


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (torch.tensor([0.0, 0.5, 1.0]), [0, 127, 255]),
        (torch.tensor([0.0, 128.0, 255.0]), [0, 128, 255]),
        (torch.tensor([-1.0, 0.0, 1.0]), [0, 127, 255]),
        (torch.tensor([3, 4, 5], dtype=torch.uint8), [3, 4, 5]),
    ],
)
def test_floats_are_brought_to_bytes(picture, expected):
    array = _as_array(picture.reshape(1, 1, 3))
    assert array.dtype == np.uint8
    assert array.tolist() == [expected]


def test_colours_come_last():
    assert _as_array(torch.zeros(3, 4, 5)).shape == (4, 5, 3)

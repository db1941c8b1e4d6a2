"""Confidences are calibrated in the course of real, tiny trainings."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from runner.build.trained.inference import calibration_of
from runner.config.options import TrainerOptions
from runner.errors import Interrupted, RunError
from runner.metrics.calibration import Uncalibrated, fit_calibration
from runner.reports.reliability import reliability_from, reliability_of
from runner.run.directory import RunDirectory
from runner.tasks.classification import Classification
from runner.tasks.task import Predictions
from runner.training.callback import Callback, Fit
from runner.training.callbacks.calibration import ConfidenceCalibration
from runner.training.progress import Progress
from tests.training.harness import (
    StopAt,
    final_state,
    fixed_split,
    journal_of,
    same,
    tiny_data,
    tiny_options,
    train,
)


class Keeps(Callback):
    """Holds what was predicted, by split and step."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, int], list[tuple[float, bool]]] = {}

    def on_evaluation_batch(self, fit: Fit, split: str, batch: Any, predictions: Any) -> None:
        pairs = zip(predictions.texts, predictions.targets, strict=True)
        rows = zip(predictions.confidences, (text == target for text, target in pairs), strict=True)
        self.seen.setdefault((split, fit.progress.step), []).extend(rows)

    def of(self, split: str, step: int) -> tuple[np.ndarray, np.ndarray]:
        confidences, rights = zip(*self.seen[split, step], strict=True)
        return np.array(confidences), np.array(rights)


def maps_of(path: Path) -> dict[str, Any]:
    return json.loads((path / "calibration.json").read_text(encoding="utf-8"))


def test_each_evaluation_has_its_map_and_the_test_takes_that_of_its_weights(tmp_path: Path):
    keeps = Keeps()
    options = tiny_options(evaluate_every="4 steps", best_mode="max")  # the first steps are "best"
    callbacks = {"keeps": keeps, "calibration": ConfidenceCalibration()}
    result = train(tmp_path, options, callbacks=callbacks)
    best, last = result.best_step, result.step
    assert best is not None and best < last, "the weights of another step than the last are tested"
    for step, plain in maps_of(tmp_path).items():
        fitted = fit_calibration(*keeps.of("evaluation", int(step)))
        assert fitted is not None and asdict(fitted) == plain
    confidences, rights = keeps.of("test", last)
    calibration = calibration_of(RunDirectory(tmp_path), best)
    report = reliability_from(json.loads((tmp_path / "reliability.json").read_text()))
    assert (report.split, report.step, report.calibrated_on) == ("test", best, 9)
    assert report.own == reliability_of(confidences.tolist(), rights.tolist())
    assert report.calibrated == reliability_of(calibration(confidences), rights.tolist())
    assert (tmp_path / "plots/reliability.png").is_file()


@pytest.mark.parametrize(
    ("metric", "name"), [("evaluation.hard.loss", "hard"), ("train.loss", "clean")]
)
def test_of_several_sets_one_is_learnt_from(tmp_path: Path, metric: str, name: str):
    keeps = Keeps()
    sets = {"clean": fixed_split(9), "hard": fixed_split(6)}
    options = tiny_options(evaluate_every="4 steps", best_metric=metric, log_every_steps=1)
    callbacks = {"keeps": keeps, "calibration": ConfidenceCalibration()}
    train(tmp_path, options, data=tiny_data(evaluation=sets), callbacks=callbacks)
    for step, plain in maps_of(tmp_path).items():
        fitted = fit_calibration(*keeps.of(f"evaluation.{name}", int(step)))
        assert fitted is not None and asdict(fitted) == plain


@pytest.mark.parametrize("in_evaluation", [False, True])
def test_a_resumed_run_has_the_same_maps(tmp_path: Path, in_evaluation: bool):
    options = tiny_options(evaluate_every="4 steps")

    def files(path: Path, *stops: Callback) -> list[str]:
        callbacks = {"calibration": ConfidenceCalibration()}
        for stop in stops:
            with pytest.raises(Interrupted):
                train(path, options, callbacks={"stop": stop, **callbacks})
            callbacks = {"calibration": ConfidenceCalibration()}
        train(path, options, callbacks=callbacks)
        names = ("calibration.json", "reliability.json")
        return [(path / name).read_text(encoding="utf-8") for name in names]

    straight = files(tmp_path / "straight")
    resumed = files(tmp_path / "resumed", StopAt(8, in_evaluation=in_evaluation))
    assert straight == resumed
    assert len(maps_of(tmp_path / "resumed")) > 2


def test_it_changes_nothing_of_the_training(tmp_path: Path):
    options = tiny_options(evaluate_every="4 steps")
    train(tmp_path / "with", options, callbacks={"calibration": ConfidenceCalibration()})
    train(tmp_path / "without", options)
    assert journal_of(tmp_path / "with") == journal_of(tmp_path / "without")
    first, second = final_state(tmp_path / "with"), final_state(tmp_path / "without")
    first[1].pop("callbacks.calibration")
    assert same(first, second)


@pytest.fixture
def fit(tmp_path: Path) -> Fit:
    return Fit(
        directory=RunDirectory(tmp_path),
        model=nn.Identity(),
        task=Classification(num_classes=2),
        options=TrainerOptions(),
        progress=Progress(step=7),
        planned_steps=100,
    )


def evaluate(fit: Fit, callback: Callback, split: str, *batches: Predictions) -> None:
    callback.on_evaluation_start(fit, split, len(batches))
    for batch in batches:
        callback.on_evaluation_batch(fit, split, {}, batch)
    callback.on_evaluation_end(fit, split, {})


def test_the_batches_of_the_first_set_are_learnt_from_together(fit: Fit):
    callback = ConfidenceCalibration()
    callback.on_evaluation_start(fit, "evaluation", 2)
    callback.on_evaluation_batch(fit, "evaluation.a", {}, Predictions(["x"], [0.9], ["x"]))
    callback.on_evaluation_batch(fit, "evaluation.a", {}, Predictions(["x"], [0.2], ["y"]))
    callback.on_evaluation_batch(fit, "evaluation.b", {}, Predictions(["x"], [0.4], ["y"]))
    callback.on_evaluation_end(fit, "evaluation", {})
    (fitted,) = maps_of(fit.directory.path).values()
    assert (fitted["count"], fitted["right"]) == (2, 1)


@pytest.mark.parametrize(
    "predictions",
    [
        Predictions(["0.5", "0.7"], [1.0, 1.0], ["0.5", "0.6"]),  # numbers, say: always 1
        Predictions(["a", "b"], [0.3, 0.9], None),
        Predictions(["a", "b"], [float("nan"), 0.9], ["a", "b"]),
        Predictions([], [], []),
    ],
)
def test_what_says_nothing_leaves_confidences_alone(fit: Fit, predictions: Predictions):
    callback = ConfidenceCalibration()
    evaluate(fit, callback, "evaluation", predictions)
    assert not fit.directory.calibration.exists()
    assert isinstance(calibration_of(fit.directory, 7), Uncalibrated)


def test_another_step_is_not_calibrated_and_a_damaged_file_is_told(fit: Fit):
    evaluate(
        fit, ConfidenceCalibration(), "evaluation", Predictions(["a", "b"], [0.3, 0.9], ["b", "b"])
    )
    assert str(calibration_of(fit.directory, 7)).startswith("calibrated on 2 evaluated samples")
    assert isinstance(calibration_of(fit.directory, 8), Uncalibrated)
    fit.directory.calibration.write_text("{")
    with pytest.raises(RunError, match=r"calibration.json cannot be read .*delete it"):
        calibration_of(fit.directory, 7)


def test_a_test_without_a_map_says_what_the_model_says(fit: Fit):
    callback = ConfidenceCalibration()
    evaluate(fit, callback, "test", Predictions(["a", "b"], [0.3, 0.9], ["b", "b"]))
    report = reliability_from(json.loads(fit.directory.reliability.read_text()))
    assert report.calibrated is None and report.count == 2 and report.step == 7
    callback.on_fit_end(fit, "preempted")
    assert not (fit.directory.plots / "reliability.png").exists()

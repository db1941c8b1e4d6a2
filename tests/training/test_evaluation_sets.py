"""Several evaluation sets: one evaluation measures all of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from runner.config.options import DebugOptions
from runner.data.data import Data
from runner.errors import ConfigError, DataError, Interrupted
from runner.training.callback import Callback, Fit
from runner.training.callbacks.sample_pictures import SamplePictures
from tests.training.harness import (
    StopAt,
    final_state,
    fixed_split,
    journal_of,
    same,
    tiny_data,
    tiny_options,
    tiny_parts,
    train,
)

SETS = {"clean": fixed_split(9), "hard": fixed_split(6)}
BY_HARD = {"best_metric": "evaluation.hard.loss"}


def several(**changes: Any) -> Data:
    return tiny_data(evaluation=SETS, test={"late": fixed_split(6)}, **changes)


class Heard(Callback):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_evaluation_start(self, fit: Fit, split: str, num_batches: int) -> None:
        self.told.append((split, num_batches))

    def on_evaluation_batch(self, fit: Fit, split: str, batch: Any, predictions: Any) -> None:
        self.told.append(split)

    def on_evaluation_end(self, fit: Fit, split: str, values: dict[str, float]) -> None:
        self.told.append(values)


def test_one_row_holds_the_values_of_every_set(tmp_path: Path) -> None:
    result = train(tmp_path, tiny_options(max_epochs=1, **BY_HARD), data=several())
    rows = [(split, values) for _, _, split, values in journal_of(tmp_path) if split != "train"]
    assert [split for split, _ in rows] == ["evaluation", "test"]
    assert {"clean.loss", "clean.accuracy", "hard.loss", "hard.accuracy"} <= rows[0][1].keys()
    assert "late.loss" in rows[1][1]
    assert result.score == rows[0][1]["hard.loss"] == result.evaluation["hard.loss"]


def test_the_values_are_those_of_each_set_alone(tmp_path: Path) -> None:
    together = train(tmp_path / "both", tiny_options(max_epochs=1, **BY_HARD), data=several())
    for name, dataset in SETS.items():
        data = tiny_data(evaluation=dataset)
        alone = train(tmp_path / name, tiny_options(max_epochs=1), data=data)
        assert alone.evaluation == {
            metric.partition(".")[2]: value
            for metric, value in together.evaluation.items()
            if metric.startswith(name)
        }


def test_callbacks_hear_one_evaluation_with_the_batches_of_each_set(tmp_path: Path) -> None:
    heard = Heard()
    options = tiny_options(max_epochs=1, test_at_end=False, **BY_HARD)
    train(tmp_path, options, data=several(), callbacks={"heard": heard})
    start, *batches, end = heard.told
    assert start == ("evaluation", 5)
    assert batches == ["evaluation.clean"] * 3 + ["evaluation.hard"] * 2
    assert {"clean.loss", "hard.loss"} <= end.keys()


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("evaluation.loss", r"several evaluation sets.*clean.loss or evaluation.hard.loss"),
        ("evaluation.hard.los", r"the task measures evaluation.clean.loss.*did you mean"),
        ("evaluation.easy.loss", r"the task measures evaluation.clean.loss"),
    ],
)
def test_a_metric_that_is_not_measured_is_refused_before_training(
    metric: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_parts(tiny_options(best_metric=metric), data=several())


def test_patience_and_a_plateau_follow_one_set(tmp_path: Path) -> None:
    options = tiny_options(
        max_epochs=9, patience=2, min_improvement=9.0, schedule_every="evaluation", **BY_HARD
    )
    plateau: Any = lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(  # noqa: E731
        optimizer, patience=0, threshold=9.0, threshold_mode="abs"
    )
    result = train(tmp_path, options, data=several(), scheduler=plateau)
    assert result.step == 3 * 6, "the first evaluation and two that are not better"
    rates = [values["lr"] for _, _, split, values in journal_of(tmp_path) if split == "train"]
    assert rates[-1] < rates[0]


@pytest.mark.parametrize("step", [6, 9])
def test_a_run_cut_in_the_second_set_is_evaluated_again_whole(tmp_path: Path, step: int) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    options = tiny_options(max_epochs=2, evaluate_every="3 steps", **BY_HARD)
    train(straight, options, data=several())

    class CutInHard(StopAt):
        def on_evaluation_batch(self, fit: Fit, split: str, batch: Any, predictions: Any) -> None:
            if split == "evaluation.hard":
                super().on_evaluation_batch(fit, split, batch, predictions)

    cut = {"cut": CutInHard(step, in_evaluation=True)}
    with pytest.raises(Interrupted):
        train(resumed, options, data=several(), callbacks=cut)
    train(resumed, options, data=several())
    assert journal_of(straight) == journal_of(resumed)
    assert same(final_state(straight), final_state(resumed))


def test_other_sets_are_other_data(tmp_path: Path) -> None:
    options = tiny_options(max_epochs=1, **BY_HARD)
    train(tmp_path, options, data=several())
    other = tiny_data(evaluation={**SETS, "clean": fixed_split(8)})
    with pytest.raises(Exception, match=r"evaluation\.clean"):
        train(
            tmp_path, replace(options, trainer=replace(options.trainer, max_epochs=2)), data=other
        )


def test_debugging_copes_with_names() -> None:
    options = replace(tiny_options(**BY_HARD), debug=DebugOptions(overfit_batches=2))
    parts = tiny_parts(options, data=several())
    assert [parts.loaders[f"evaluation.{name}"].num_batches for name in SETS] == [2, 2]
    limited = replace(tiny_options(**BY_HARD), debug=DebugOptions(limit_batches=1))
    parts = tiny_parts(limited, data=several())
    assert {loader.num_batches for loader in parts.loaders.values()} == {1}


@pytest.mark.parametrize(
    ("sets", "message"),
    [({}, "names no dataset"), ({"a.b": SETS["clean"]}, r"'a\.b' of a dataset must be made of")],
)
def test_names_that_cannot_be_are_refused(sets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tiny_data(evaluation=sets)


@pytest.mark.parametrize(("split", "expected"), [("evaluation", 9), ("evaluation.hard", 6)])
def test_pictures_come_from_the_first_set_or_the_one_named(split: str, expected: int) -> None:
    pictures = SamplePictures(split=split)
    fit: Any = type("Fit", (), {"is_main": True, "progress": type("P", (), {"step": 1})})
    pictures.on_evaluation_start(fit, "evaluation", 2)
    for name, count in (("clean", 9), ("hard", 6)):
        batch = {"image": torch.zeros(count, 1, 2, 2)}
        pictures.on_evaluation_batch(fit, f"evaluation.{name}", batch, None)  # type: ignore[arg-type]
    assert pictures._kept is not None
    assert len(pictures._kept[0]) == expected

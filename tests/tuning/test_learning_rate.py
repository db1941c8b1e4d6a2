"""The learning-rate finder makes real steps, suggests a rate that learns, and leaves no trace."""

import copy
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from runner.config.options import ParameterOptions
from runner.errors import ConfigError, RunError
from runner.training.parts import Parts
from runner.tuning.learning_rate import find_learning_rate, smoothed_by_neighbours, steepest
from tests.commands.command import call
from tests.training.harness import same, tiny_options, tiny_parts


def parts(**parameters: object) -> Parts:
    options = replace(
        tiny_options(max_epochs=None, max_steps=9),
        parameters=ParameterOptions(**parameters),  # type: ignore[arg-type]
    )
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    return tiny_parts(options, model=model, scheduler=None)


def test_the_steepest_descent_is_found_and_not_the_lowest_loss() -> None:
    rates = np.geomspace(1e-4, 1.0, 41).tolist()
    losses = [2.0 - 1.5 / (1 + np.exp(-3 * np.log(r / 1e-2))) + (r > 0.3) * 9 for r in rates]
    assert steepest(rates, losses) == pytest.approx(1e-2, rel=0.3)
    assert steepest(rates, sorted(losses)) is None


def test_smoothing_has_no_lag() -> None:
    assert smoothed_by_neighbours([0, 0, 3, 0, 0], reach=1) == [0, 1, 1, 1, 0]


def test_a_rate_is_suggested_and_nothing_has_changed() -> None:
    trial = parts()
    before = copy.deepcopy((trial.model.state_dict(), trial.optimizer.state_dict()))
    drawn = torch.get_rng_state()
    found = find_learning_rate(trial, num_steps=60, start=1e-6, end=10.0)
    assert found.suggestion is not None and 1e-6 < found.suggestion < 1.0
    assert min(found.losses) < 0.9 * found.losses[0], "the weights were trained"
    assert same(before, (trial.model.state_dict(), trial.optimizer.state_dict()))
    assert torch.equal(drawn, torch.get_rng_state())


def test_it_ends_when_the_loss_explodes() -> None:
    trial = parts()
    found = find_learning_rate(trial, num_steps=80, start=1e-6, end=1e9)
    assert len(found.rates) < 80


def test_a_loss_that_is_never_a_number_is_told() -> None:
    model = nn.Linear(8, 3)
    nn.init.constant_(model.weight, float("nan"))
    with pytest.raises(RunError, match="explodes within 0 steps"):
        find_learning_rate(tiny_parts(tiny_options(), scheduler=None, model=model))


def test_groups_keep_their_share_of_the_rate() -> None:
    trial = parts(lr_factors={"3": 10.0})
    seen: list[list[float]] = []
    trial.optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.append([group["lr"] for group in optimizer.param_groups])
    )
    find_learning_rate(trial, num_steps=30, start=1e-5, end=1e-3)
    assert len(seen) == 30
    assert all(head == pytest.approx(10 * body) for body, head in seen)


@pytest.mark.parametrize("options", [{"num_steps": 5}, {"start": 1.0, "end": 0.1}, {"start": 0.0}])
def test_a_range_that_is_none_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="a range above 0 that rises"):
        find_learning_rate(parts(), **options)  # type: ignore[arg-type]


def test_the_command_prints_a_rate_and_writes_picture_and_table(tmp_path: Path) -> None:
    done = call("find-lr", "+experiment=digits", "--steps", "60", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "steepest descent: optimizer.lr=" in done.stdout
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in written) == [".csv", ".png"], "no run"
    (table,) = (path for path in written if path.suffix == ".csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert 20 < len(rows) <= 60 and rows[0].keys() == {"lr", "loss", "smoothed"}

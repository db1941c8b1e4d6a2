from pathlib import Path

import pytest
import torch
from torch import nn

from runner.errors import Interrupted
from runner.training.weight_average import ExponentialAverage
from tests.training.harness import StopAt, final_state, journal_of, same, tiny_options, train


def test_the_average_follows_the_weights() -> None:
    model, average = nn.Linear(1, 1), nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(1.0)
        average.weight.fill_(0.0)
    kept = ExponentialAverage(average, model, decay=0.9)
    kept.update()
    kept.update()
    assert kept.model.weight.item() == pytest.approx(0.1 + 0.9 * 0.1)
    assert not any(p.requires_grad for p in kept.model.parameters())


def test_buffers_of_the_average_are_those_of_the_model() -> None:
    model, average = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    kept = ExponentialAverage(average, model, decay=0.9)
    model(torch.randn(4, 2))
    kept.update()
    assert torch.equal(kept.model.running_mean, model.running_mean)  # type: ignore[arg-type]


def test_evaluations_use_the_average_and_training_does_not(tmp_path: Path) -> None:
    plain, averaged = tmp_path / "plain", tmp_path / "averaged"
    train(plain, tiny_options())
    train(averaged, tiny_options(ema_decay=0.9))
    assert same(final_state(plain)[0], final_state(averaged)[0]), "training is the same"
    rows = [row for row in journal_of(plain) if row[2] == "evaluation"]
    others = [row for row in journal_of(averaged) if row[2] == "evaluation"]
    assert len(rows) == len(others) and rows != others


def test_an_averaged_run_is_resumed_exactly(tmp_path: Path) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    options = tiny_options(ema_decay=0.8)
    result = train(straight, options)
    with pytest.raises(Interrupted):
        train(resumed, options, callbacks={"stop": StopAt(7)})
    again = train(resumed, options)
    assert same(final_state(straight), final_state(resumed))
    assert journal_of(straight) == journal_of(resumed)
    assert (again.score, again.test) == (result.score, result.test)

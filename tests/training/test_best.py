import pytest

from runner.errors import CheckpointError
from runner.training.best import Best


def test_the_best_steps_are_worth_keeping() -> None:
    best = Best("max", keep=2)
    kept = [best.update(value, step=step, counts=True) for step, value in enumerate([1, 3, 2, 0])]
    assert kept == [True, True, True, False]
    assert (best.score, best.step, best.steps) == (3, 1, {1, 2})
    assert best.evaluations_since == 2


def test_a_small_gain_does_not_reset_the_patience() -> None:
    best = Best("min", min_improvement=0.5)
    for step, value in enumerate([1.0, 0.8, 0.6]):
        best.update(value, step=step, counts=True)
    assert (best.score, best.step, best.evaluations_since) == (1.0, 0, 2)


def test_nan_is_never_the_best_and_counts() -> None:
    best = Best("min")
    assert not best.update(float("nan"), step=1, counts=True)
    assert (best.step, best.evaluations_since, best.steps) == (None, 1, set())


def test_its_state_is_restored_and_checked() -> None:
    first, second = Best("min", keep=2), Best("min", keep=2)
    for step, value in enumerate([3.0, 1.0, 2.0]):
        first.update(value, step=step, counts=True)
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == first.state_dict()
    with pytest.raises(CheckpointError, match="lacks .'ranking'"):
        second.load_state_dict({"score": 1.0, "step": 1, "evaluations_since": 0})

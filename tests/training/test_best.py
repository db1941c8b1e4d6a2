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


def test_the_best_that_is_there_stays_until_a_better_one_is_saved() -> None:
    best = Best("max")
    for value, step in [(0.5, 10), (0.9, 20), (0.1, 30)]:
        best.update(value, step=step, counts=True)
    assert best.kept_among([10, 30]) == {10}, "20 could not be saved"
    assert best.kept_among([10, 20, 30]) == {20}
    assert best.best_among([10, 30]) == 10
    assert best.best_among([10, 20, 30]) == 20
    assert (best.steps, best.best_among([])) == ({20}, None)


def test_without_checkpoints_to_keep_only_the_best_itself_will_do() -> None:
    best = Best("max", keep=0)
    for value, step in [(0.5, 10), (0.9, 20)]:
        best.update(value, step=step, counts=True)
    assert best.kept_among([10, 20]) == set()
    assert (best.best_among([10, 20]), best.best_among([10])) == (20, None)


def test_the_scores_that_are_known_are_not_more_and_more() -> None:
    best = Best("max", keep=2)
    for step in range(1000):
        best.update(step, step=step, counts=True)
    assert len(best.state_dict()["ranking"]) < 200
    assert best.steps == {998, 999}

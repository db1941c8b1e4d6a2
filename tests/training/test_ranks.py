"""Two processes that train one run: the same samples, exact metrics, one decision."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.ranks import results_of
from tests.training.harness import final_state, journal_of, same
from tests.training.rank_trainings import sum_gradients
from tests.training.rank_trainings import train as on_rank

Outcome = tuple[Path, dict[str, Any]]


def train(count: int, path: Path, **how: Any) -> dict[str, Any]:
    """Return what rank 0 says of a training in `path`; nothing if it was stopped."""
    path.mkdir(exist_ok=True)
    for left in path.glob("store*"):
        left.unlink()
    return results_of(partial(on_rank, path=path / "run", **how), count=count, folder=path)[0]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    path = tmp_path_factory.mktemp("alone")
    return path / "run", train(1, path)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    path = tmp_path_factory.mktemp("together")
    return path / "run", train(2, path)


def test_gradients_are_summed_whatever_each_rank_used(tmp_path: Path) -> None:
    results_of(sum_gradients, count=2, folder=tmp_path)


def test_two_ranks_train_as_one_process_does(alone: Outcome, together: Outcome) -> None:
    """The last batch has three samples, the held-out split nine: ranks divide neither."""
    one, two = journal_of(alone[0]), journal_of(together[0])
    assert [row[:3] for row in one] == [row[:3] for row in two]
    for (*_, first), (*_, second) in zip(one, two, strict=True):
        assert first == pytest.approx(second, rel=1e-4)
    for name, tensor in final_state(alone[0])[0].items():
        assert torch.allclose(tensor, final_state(together[0])[0][name], atol=1e-5), name


def test_metrics_of_counts_are_equal(alone: Outcome, together: Outcome) -> None:
    for split in ("evaluation", "test"):
        own, theirs = alone[1][split], together[1][split]
        assert own["accuracy"] == theirs["accuracy"]
        assert own["macro_f1"] == theirs["macro_f1"]


def test_confidences_of_all_ranks_are_calibrated_together(
    alone: Outcome, together: Outcome
) -> None:
    own, theirs = (
        json.loads((path / "calibration.json").read_text()) for path, _ in (alone, together)
    )
    assert own.keys() == theirs.keys()
    for step, fitted in own.items():
        assert theirs[step] == pytest.approx(fitted, rel=1e-3)
        assert theirs[step]["count"] == 9, "a stand-in counts nowhere"


@pytest.mark.parametrize(
    ("kind", "stop", "changes"),
    [
        ("dropout", 4, {}),  # in the middle of an epoch
        ("norm", 6, {"gradient_accumulation_steps": 3}),  # at the end of one
    ],
)
def test_two_ranks_are_resumed_exactly(
    tmp_path: Path, kind: str, stop: int, changes: dict[str, Any]
) -> None:
    """Only the last rank hears the signal."""
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    changed = {"kind": kind, "ema_decay": 0.9, **changes}
    train(2, straight, **changed)
    assert not train(2, resumed, stop=stop, **changed)
    assert final_state(resumed / "run")[1]["progress"]["step"] == stop
    train(2, resumed, **changed)
    assert same(final_state(straight / "run"), final_state(resumed / "run"))
    assert journal_of(straight / "run") == journal_of(resumed / "run")


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_ranks(
    tmp_path: Path, alone: Outcome, first: int, then: int
) -> None:
    train(first, tmp_path, stop=7)
    assert final_state(tmp_path / "run")[1]["progress"]["step"] == 7
    train(then, tmp_path)
    rows, straight = journal_of(tmp_path / "run"), journal_of(alone[0])
    assert [row[:3] for row in rows] == [row[:3] for row in straight]
    for (*_, own), (*_, other) in zip(rows, straight, strict=True):
        assert own == pytest.approx(other, rel=1e-4)

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.checkpoint.store import CheckpointStore
from runner.config.options import CheckpointOptions
from runner.training.best import is_worth_saving
from tests.training.harness import tiny_options, tiny_parts, train


def kept(path: Path) -> list[int]:
    return CheckpointStore(path / "checkpoints").steps()


def options(checkpoint: dict[str, Any], **trainer: Any) -> Any:
    return replace(tiny_options(**trainer), checkpoint=CheckpointOptions(**checkpoint))


@pytest.mark.parametrize(
    ("score", "above", "below", "worth"),
    [
        (0.5, None, None, True),
        (0.5, 0.5, None, False),
        (0.6, 0.5, 0.7, True),
        (0.7, 0.5, 0.7, False),
    ],
)
def test_a_better_score_is_worth_a_checkpoint_within_its_bounds(
    score: float, above: float | None, below: float | None, worth: bool
) -> None:
    assert is_worth_saving(score, above=above, below=below) == worth


def test_a_score_that_is_not_good_enough_is_not_saved(tmp_path: Path) -> None:
    how = {"every": None, "best_below": 0.0}
    result = train(tmp_path, options(how, evaluate_every="1 steps"))
    assert kept(tmp_path) == [18], "the end is saved in any case"
    assert result.score is not None


def test_every_nth_step_is_saved_and_stays(tmp_path: Path) -> None:
    how = {"every": None, "keep_every_steps": 5, "keep_last": 1, "keep_best": 0}
    train(tmp_path, options(how, evaluate_every=None, evaluate_at_end=False))
    assert kept(tmp_path) == [5, 10, 15, 18]


def test_weights_lie_in_shards_and_a_run_is_resumed_from_them(tmp_path: Path) -> None:
    how = {"max_shard_size": "0.5 KB"}
    train(tmp_path, options(how, max_epochs=1))
    store = CheckpointStore(tmp_path / "checkpoints")
    assert len(store.weight_files(6)) > 2
    store.read_weights(6, tiny_parts(tiny_options()).model)
    assert train(tmp_path, options(how, max_epochs=2)).step == 12

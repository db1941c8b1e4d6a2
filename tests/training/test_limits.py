"""When training is over."""

from pathlib import Path

import pytest

from runner.config.options import TrainerOptions
from runner.errors import ConfigError
from runner.training.best import Best
from runner.training.limits import Limits
from runner.training.progress import Progress
from tests.training.harness import (
    final_state,
    journal_of,
    same,
    tiny_data,
    tiny_options,
    tiny_parts,
    train,
)


@pytest.mark.parametrize(("mode", "over"), [("min", 0.2), ("max", 0.4)])
def test_a_score_that_is_reached_ends_training(mode: str, over: float) -> None:
    limits = Limits(TrainerOptions(target_score=0.3, best_mode=mode))
    best, progress = Best(mode, min_improvement=1.0), Progress(batches_per_epoch=3)
    assert limits.reached(progress, best) is None
    best.update(0.6 - over, step=1, counts=True)
    assert limits.reached(progress, best) is None
    best.update(over, step=2, counts=True)
    assert limits.reached(progress, best) == "the score has reached 0.3"


def test_a_run_ends_at_its_target_and_goes_on_with_another(tmp_path: Path) -> None:
    scores = {"best_metric": "evaluation.accuracy", "best_mode": "max"}
    train(tmp_path / "whole", tiny_options(**scores))
    rows = [row for row in journal_of(tmp_path / "whole") if row[2] == "evaluation"]
    target = min(row[3]["accuracy"] for row in rows)
    first = next(row[0] for row in rows if row[3]["accuracy"] >= target)
    ended = train(tmp_path / "run", tiny_options(**scores, target_score=target))
    assert ended.step == first < 18
    assert train(tmp_path / "run", tiny_options(**scores)).step == 18
    assert same(final_state(tmp_path / "run")[0], final_state(tmp_path / "whole")[0])


def test_a_target_that_nothing_measures_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"trainer.target_score needs an evaluation split"):
        tiny_parts(tiny_options(target_score=0.5), data=tiny_data(evaluation=None))

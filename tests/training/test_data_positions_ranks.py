"""Two ranks share out one order: of a sampler with a state, and of a curriculum."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from runner.errors import Interrupted
from runner.runtime.ranks import ALONE, Ranks
from runner.runtime.seeds import seed_everything
from tests.ranks import results_of
from tests.training.exactness import run_differences, train_as_rank
from tests.training.harness import StopAt, final_state, fixed_split, journal_of, tiny_options
from tests.training.rank_trainings import model
from tests.training.test_data_positions import data_by_name

NAMES = ("counted", "curriculum")
METRIC = "evaluation.seven.loss"
SETS = {"nine": fixed_split(9), "seven": fixed_split(7)}


def train_all(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Train on each kind of data, straight and, on several ranks, also cut and resumed."""
    options = tiny_options(max_epochs=None, max_steps=5, log_every_steps=1, best_metric=METRIC)
    for name in NAMES:

        def train(path: Path, name: str = name, **changes: Any) -> None:
            data = replace(data_by_name(name), evaluation=SETS)
            seed_everything(0)
            plain = model("plain")  # without dropout, which each rank draws for itself
            train_as_rank(ranks, path, options, data=data, model=plain, **changes)
            ranks.meet()

        train(folder / f"{name}_{ranks.count}")
        if ranks.are_several:
            is_last = ranks.rank == ranks.count - 1
            with suppress(Interrupted):
                cut = {"stop": StopAt(3)} if is_last else {}
                train(folder / f"{name}_resumed", callbacks=cut)
            ranks.meet()
            train(folder / f"{name}_resumed")
    return {}


def test_two_ranks_train_as_one_process_and_resume_exactly(tmp_path: Path) -> None:
    train_all(ALONE, tmp_path)
    results_of(train_all, count=2, folder=tmp_path)
    for name in NAMES:
        one, two = tmp_path / f"{name}_1", tmp_path / f"{name}_2"
        assert run_differences(two, tmp_path / f"{name}_resumed") == []
        for (*_, first), (*_, second) in zip(journal_of(one), journal_of(two), strict=True):
            assert first == pytest.approx(second, rel=1e-4), name
        for weight, tensor in final_state(one)[0].items():
            assert torch.allclose(tensor, final_state(two)[0][weight], atol=1e-5), (name, weight)

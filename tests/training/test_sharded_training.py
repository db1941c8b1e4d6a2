"""Two processes that share the parameters among them train as one does, and resume exactly."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from runner.checkpoint.manifest import committed_steps, step_path
from runner.checkpoint.sharded import read_sharded_weights
from runner.config.options import HardwareOptions
from runner.runtime.ranks import ALONE, Ranks
from runner.runtime.sharding import is_sharded
from tests.ranks import results_of
from tests.training import rank_trainings
from tests.training.harness import journal_of, tiny_parts

HOW: dict[str, Any] = {"ema_decay": 0.9, "gradient_accumulation_steps": 3}


def work(ranks: Ranks, folder: Path, *, path: Path) -> dict[str, Any]:
    """Train sharded, straight and with a stop; each training asserts that it is sharded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rank_trainings, "tiny_parts", sharded_parts)
        rank_trainings.train(ranks, folder, path=path / "straight", **HOW)
        rank_trainings.train(ranks, folder, path=path / "resumed", stop=4, **HOW)
        rank_trainings.train(ranks, folder, path=path / "resumed", **HOW)
    return {}


def sharded_parts(options: Any, **pieces: Any) -> Any:
    parts = tiny_parts(replace(options, hardware=HardwareOptions(sharding="fsdp")), **pieces)
    assert is_sharded(parts.model)
    assert is_sharded(parts.average.model)
    return parts


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sharded")
    results_of(partial(work, path=path), count=2, folder=path)
    return path


def test_two_sharded_ranks_train_as_one_process_does(path: Path, tmp_path: Path) -> None:
    rank_trainings.train(ALONE, tmp_path, path=tmp_path / "alone", **HOW)
    one, two = journal_of(tmp_path / "alone"), journal_of(path / "straight")
    assert [row[:3] for row in one] == [row[:3] for row in two]
    for (*_, first), (*_, second) in zip(one, two, strict=True):
        assert first == pytest.approx(second, rel=1e-4)


def test_a_sharded_run_is_resumed_exactly(path: Path) -> None:
    assert journal_of(path / "straight") == journal_of(path / "resumed")
    roots = [path / name / "checkpoints" for name in ("straight", "resumed")]
    last = committed_steps(roots[0])[-1]
    straight, resumed = (read_sharded_weights(step_path(root, last) / "sharded") for root in roots)
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)

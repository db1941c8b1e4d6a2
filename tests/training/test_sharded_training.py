"""Two processes that share the parameters among them train as one does, and resume exactly."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from runner.checkpoint.manifest import committed_steps, step_path
from runner.checkpoint.parts import read_parts, records
from runner.config.options import CheckpointOptions, HardwareOptions
from runner.errors import ConfigError
from runner.runtime.ranks import ALONE, Ranks
from runner.runtime.sharding import is_sharded
from tests.ranks import results_of
from tests.training import rank_trainings
from tests.training.harness import journal_of, same, tiny_options, tiny_parts

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
    straight, resumed = (all_tensors(step_path(root, last) / "sharded") for root in roots)
    kinds = {name.split(".")[0] for name in straight}
    assert kinds == {"model", "average", "optimizer", "rest"}
    assert same(straight, resumed)
    for rank in range(2):
        files = [step_path(root, last) / f"rank_{rank}.pt" for root in roots]
        assert same(*(torch.load(file, weights_only=True) for file in files))


def test_a_limit_for_files_of_whole_weights_is_refused() -> None:
    options = replace(
        tiny_options(),
        hardware=HardwareOptions(sharding="fsdp"),
        checkpoint=CheckpointOptions(max_shard_size="5 GB"),
    )
    with pytest.raises(ConfigError, match="checkpoint.max_shard_size does not go with"):
        tiny_parts(options)


def all_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return all that lies in the directory `path`: weights, averages, and the optimizer's."""
    tensors = {
        name: torch.empty(record.size, dtype=record.properties.dtype)
        for name, record in records(path).items()
    }
    read_parts(tensors, path)
    return tensors

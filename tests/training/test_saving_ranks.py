"""The saver of two ranks, and of another number of them than have saved."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from runner.checkpoint.store import CheckpointStore
from runner.errors import CheckpointError
from runner.runtime.ranks import ALONE, Ranks
from runner.runtime.watchdog import Watchdog
from runner.training.averages import Averages
from runner.training.progress import Progress
from runner.training.rank_states import restore_rank_state
from tests.ranks import results_of
from tests.training.test_saving import World, slow


def world_of(ranks: Ranks, folder: Path, own: int = -1) -> tuple[World, Progress]:
    state = Progress(samples=own)
    return World(folder / "run", ranks=ranks, rank_state={"own": state}), state


def work(ranks: Ranks, folder: Path) -> dict[str, Any]:
    torch.manual_seed(100 + ranks.rank)
    random = torch.get_rng_state()
    world, _ = world_of(ranks, folder, own=10 + ranks.rank)
    torch.set_rng_state(random)
    result: dict[str, Any] = {}
    world.train(2)
    world.save()
    result["drawn"] = torch.rand(2)
    world.saver.wait()
    result["first"] = world.saver.committed()
    world.train()
    with pytest.MonkeyPatch.context() as patch:
        if ranks.is_main:
            patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        result["begun"] = world.save()
        world.saver.wait()
    result["failed"] = world.saver.committed()
    result["again"] = [world.save(), world.save()]
    world.saver.wait()
    result["second"] = world.saver.committed()
    if ranks.is_main:
        (folder / "run" / "step_00000003" / "training.pt").write_bytes(b"damaged")
    world.train()
    result["rolled_back"] = world.saver.roll_back()
    again, own = world_of(ranks, folder)
    result["restored"] = again.saver.restore()
    result["own"] = own.samples
    result["redrawn"] = torch.rand(2)
    result["weight"] = again.model.weight.detach().clone()
    again.train()
    again.saver.roll_back()
    result["weight_again"] = again.model.weight.detach().clone()
    result["finish"] = finish_slowly(ranks, folder)
    ranks.meet()
    if ranks.is_main:
        (folder / "run" / "step_00000002" / "training.pt").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="all checkpoints") as refused:
        world_of(ranks, folder)[0].saver.restore()
    result["refused"] = str(refused.value)
    return result


def finish_slowly(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Save for 1.5 s on rank 0, under a watchdog that barks after 0.6 s; all wait for the end."""
    hangs: list[str] = []
    with Watchdog(0.6, hangs.append) as watchdog, pytest.MonkeyPatch.context() as patch:
        # A rank that waits for others is given 10 s more, which would hide what is looked for.
        patch.setattr("runner.runtime.watchdog.patience_seconds", lambda _: 0.0)
        world = World(folder / "slow", ranks=ranks, beat=watchdog.beat)
        patch.setattr(world.store, "write", slow(world.store.write, 1.5))
        world.save()
        world.saver.finish()
        return {"steps": world.store.steps(), "hangs": hangs}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return results_of(work, count=2, folder=tmp_path_factory.mktemp("two"))


def test_each_rank_gets_back_what_is_its_own(results: list[dict[str, Any]]) -> None:
    assert [result["own"] for result in results] == [10, 11]
    assert not torch.equal(results[0]["drawn"], results[1]["drawn"])
    for result in results:
        assert torch.equal(result["redrawn"], result["drawn"])


def test_rank_0_alone_tells_what_is_committed(results: list[dict[str, Any]]) -> None:
    assert [result["first"] for result in results] == [[2], []]
    assert [result["second"] for result in results] == [[3], []]


def test_a_write_that_fails_on_rank_0_leaves_the_ranks_together(
    results: list[dict[str, Any]],
) -> None:
    assert [result["begun"] for result in results] == [True, True]
    assert [result["failed"] for result in results] == [[], []]
    assert [result["again"] for result in results] == [[True, False]] * 2


def test_rank_0_decides_for_all_what_is_restored(results: list[dict[str, Any]]) -> None:
    assert [result["rolled_back"] for result in results] == [None, None], "it was damaged"
    assert [result["restored"] for result in results] == [2, 2]
    assert torch.equal(results[0]["weight"], results[1]["weight"])
    for result in results:
        assert torch.equal(result["weight"], result["weight_again"])
    assert results[0]["refused"] == results[1]["refused"]


def test_no_rank_leaves_before_the_last_save_is_written_nor_takes_the_wait_for_a_hang(
    results: list[dict[str, Any]],
) -> None:
    assert [result["finish"] for result in results] == [{"steps": [0], "hangs": []}] * 2


def save_as(count: int, folder: Path) -> CheckpointStore:
    """Write the checkpoint of step 5 that `count` ranks write."""
    from runner.checkpoint.snapshot import Snapshot
    from runner.runtime.seeds import random_state

    store = CheckpointStore(folder)
    states = [
        {"random": random_state(), "state": {"loss": {"loss": [1.5, 2 + rank]}}}
        for rank in range(count)
    ]
    store.write(5, Snapshot(weights={}, training={}, ranks=states))
    return store


def restored(store: CheckpointStore, ranks: Ranks) -> dict[str, Any]:
    averages = Averages(ranks)
    restore_rank_state({"loss": averages}, store, step=5, seed=7, ranks=ranks)
    return averages.state_dict()


def test_fewer_ranks_take_over_the_sums_of_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = save_as(3, tmp_path)
    assert restored(store, ALONE) == {"loss": [4.5, 9]}
    assert "saved by 3, going on with 1" in caplog.text


def test_a_rank_that_was_not_there_has_random_numbers_of_its_own_and_the_same_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = save_as(2, tmp_path)
    drawn = {}
    for rank in (1, 2, 3, 2):
        assert restored(store, Ranks(rank=rank, count=4)) == {}
        numbers = torch.rand(3)
        assert rank not in drawn or torch.equal(numbers, drawn[rank])
        drawn[rank] = numbers
    assert not torch.equal(drawn[2], drawn[3])
    assert caplog.text.count("rank 3 was not there at step=5") == 1
    assert "rank 1 was" not in caplog.text
    assert restored(store, Ranks(rank=0, count=4)) == {"loss": [3.0, 5]}

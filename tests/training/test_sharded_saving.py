import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from runner.checkpoint.store import CheckpointStore
from runner.config.options import CheckpointOptions
from runner.runtime.ranks import ALONE, Ranks
from runner.runtime.sharding import shard
from runner.training.best import Best
from runner.training.progress import Progress
from runner.training.saving import Saver
from tests.ranks import results_of

CPU = torch.device("cpu")


class World:
    """A model that is trained by hand, sharded if there are several ranks, and its saver."""

    def __init__(self, root: Path, ranks: Ranks) -> None:
        torch.manual_seed(0)
        self.model, self.average = nn.Linear(4, 5), nn.Linear(4, 5)
        if ranks.are_several:
            shard(self.model, ranks, CPU)
            shard(self.average, ranks, CPU)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.1)
        self.progress = Progress()
        self.best = Best("min")
        self.store = CheckpointStore(root)
        self.saver = Saver(
            self.store,
            model=self.model,
            average=self.average,
            state={"progress": self.progress, "optimizer": self.optimizer, "best": self.best},
            rank_state={},
            identity={"seed": 0},
            best=self.best,
            options=CheckpointOptions(keep_last=99),
            ranks=ranks,
            sync_journal=lambda: None,
        )

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.model(torch.ones(2, 4)).square().mean().backward()
            self.optimizer.step()
            self.progress.advance(batches=1, samples=2, ends_epoch=False)
            with torch.no_grad():
                averages, weights = list(self.average.parameters()), list(self.model.parameters())
                torch._foreach_lerp_(averages, weights, 0.5)

    def save(self) -> None:
        self.saver.save(self.progress.step, evaluations=0)

    def whole(self) -> dict[str, Any]:
        """Return copies of what is saved, gathered: all ranks call this."""
        state = self.optimizer.state_dict()["state"]
        return {
            "model": whole(self.model.state_dict()),
            "average": whole(self.average.state_dict()),
            "optimizer": {index: whole(values) for index, values in state.items()},
            "step": self.progress.step,
        }


def whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).clone()
        for name, tensor in tensors.items()
    }


def assert_equal(first: dict[str, Any], second: dict[str, Any]) -> None:
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def work(ranks: Ranks, folder: Path) -> dict[str, Any]:
    world = World(folder / "run", ranks)
    world.train(2)
    world.save()
    result: dict[str, Any] = {"saved": world.whole()}
    world.train(3)
    world.saver.wait()
    result["committed"] = world.saver.committed()
    result["failed"] = save_on_a_full_disk(world, ranks)
    world.best.update(0.5, step=5, counts=True)
    world.save()
    world.saver.wait()
    result["then"] = world.saver.committed()
    result["at_5"] = world.whole()
    result["rolled_back"] = roll_back(world)
    again = World(folder / "run", ranks)
    result["restored"] = (again.saver.restore(), again.whole())
    result["best"] = (again.saver.restore_best_weights(), whole(again.model.state_dict()))
    other = World(folder / "plain", ranks)
    result["plain"] = (other.saver.restore(), other.whole())
    return result


def save_on_a_full_disk(world: World, ranks: Ranks) -> list[int]:
    with pytest.MonkeyPatch.context() as patch:
        if ranks.is_main:
            patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        world.save()
        world.saver.wait()
    return world.store.steps()


def roll_back(world: World) -> dict[str, Any]:
    world.train(2)
    world.optimizer.param_groups[0]["lr"] = 0.03
    step = world.saver.roll_back()
    return {"step": step, "lr": world.optimizer.param_groups[0]["lr"], **world.whole()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def plain(folder: Path) -> dict[str, Any]:
    world = World(folder / "plain", ALONE)
    world.train(4)
    world.save()
    world.saver.wait()
    return world.whole()


@pytest.fixture(scope="module")
def results(folder: Path, plain: dict[str, Any]) -> list[dict[str, Any]]:
    return results_of(work, count=2, folder=folder)


def test_what_was_at_the_time_of_saving_is_committed_by_rank_0(
    results: list[dict[str, Any]], folder: Path
) -> None:
    assert [result["committed"] for result in results] == [[2], []]
    step_2 = folder / "run" / "step_00000002"
    assert not list(step_2.glob("*.safetensors"))
    shutil.copytree(step_2, folder / "first" / "step_00000002")
    world = World(folder / "first", ALONE)
    assert world.saver.restore() == 2
    assert_equal(world.whole(), results[0]["saved"])


def test_a_full_disk_on_rank_0_is_survived_by_all(results: list[dict[str, Any]]) -> None:
    assert all(result["failed"] == [2] for result in results)
    assert results[0]["then"] == [5]


def test_the_same_and_one_rank_restore_it_exactly(
    results: list[dict[str, Any]], folder: Path
) -> None:
    assert_equal(results[0]["at_5"], results[1]["at_5"])
    for result in results:
        step, restored = result["restored"]
        assert step == 5
        assert_equal(restored, result["at_5"])
    world = World(folder / "run", ALONE)
    assert world.saver.restore() == 5
    assert_equal(world.whole(), results[0]["at_5"])


def test_the_best_weights_are_the_averaged_ones(
    results: list[dict[str, Any]], folder: Path
) -> None:
    model = nn.Linear(4, 5)
    store = CheckpointStore(folder / "run")
    store.read_weights(5, model)
    assert_equal(model.state_dict(), results[0]["at_5"]["average"])
    for result in results:
        assert result["best"][0] == 5
        assert_equal(result["best"][1], results[0]["at_5"]["average"])
    assert store.weight_files(5) == []


def test_rolling_back_leaves_step_and_learning_rate(results: list[dict[str, Any]]) -> None:
    for result in results:
        rolled_back, then = result["rolled_back"], result["at_5"]
        assert rolled_back["lr"] == 0.03
        for name in ("model", "average", "optimizer"):
            assert_equal(rolled_back[name], then[name])


def test_what_one_process_saved_goes_on_sharded(
    results: list[dict[str, Any]], plain: dict[str, Any]
) -> None:
    for result in results:
        step, restored = result["plain"]
        assert step == 4
        assert_equal(restored, plain)

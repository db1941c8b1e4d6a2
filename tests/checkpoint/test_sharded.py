import pickle
import resource
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from runner.checkpoint.sharded import (
    ShardedState,
    cancel_save,
    holds_sharded,
    host_copy,
    load_sharded,
    load_sharded_weights,
    read_sharded_weights,
    save_sharded,
)
from runner.checkpoint.spread import optimizer_state_parts, part_of
from runner.errors import CheckpointError
from runner.runtime.ranks import Ranks
from runner.runtime.sharding import is_sharded, shard
from tests.ranks import results_of, subset

CPU = torch.device("cpu")
INPUTS = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
# Neither 2, 3 nor 4 ranks divide all the sizes; of 4 ranks some have no part of the last layer.


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 7)
        self.layers = nn.ModuleList([nn.Linear(7, 7) for _ in range(2)])
        self.norm = nn.BatchNorm1d(7)
        self.last = nn.Linear(7, 3)
        self.tied = nn.Linear(7, 3, bias=False)
        self.tied.weight = self.last.weight

    def forward(self, inputs: Tensor) -> Tensor:
        values = self.first(inputs)
        for layer in self.layers:
            values = torch.tanh(layer(values))
        values = self.norm(values)
        return self.last(values) + self.tied(values)


class Training:
    """A model, its averaged copy, and an optimizer of two groups; sharded if there are ranks."""

    def __init__(self, ranks: Ranks | None, *, seed: int) -> None:
        torch.manual_seed(seed)
        self.model, self.average = Net(), Net()
        if ranks is not None:
            shard(self.model, ranks, CPU)
            shard(self.average, ranks, CPU)
        head = list(self.model.last.parameters())
        body = [p for p in self.model.parameters() if all(p is not other for other in head)]
        groups = [{"params": body}, {"params": head, "lr": seed / 100}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-2)

    def step(self) -> None:
        self.model(INPUTS).square().mean().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            averages, weights = list(self.average.parameters()), list(self.model.parameters())
            torch._foreach_lerp_(averages, weights, 0.1)

    @property
    def parts(self) -> tuple[nn.Module, torch.optim.Optimizer, nn.Module]:
        return self.model, self.optimizer, self.average

    def whole(self) -> dict[str, Any]:
        """Return copies of everything, gathered: all ranks call this."""
        state = self.optimizer.state_dict()
        return {
            "model": whole(self.model.state_dict()),
            "average": whole(self.average.state_dict()),
            "state": {index: whole(values) for index, values in state["state"].items()},
            "groups": state["param_groups"],
        }


def whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).clone()
        for name, tensor in tensors.items()
    }


def assert_equal(first: dict[str, Any], second: dict[str, Any]) -> None:
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def work(ranks: Ranks, folder: Path) -> dict[str, Any]:
    two, three = subset(ranks, 2), subset(ranks, 3)
    result: dict[str, Any] = {}
    if two is not None:
        training = Training(two, seed=1)
        result["two"] = save_while_training(training, two, folder / "two")
        result["failure"] = fail_on_one_rank(training, two, folder)
        result["cancelled"] = cancel_on_rank_0(training, two, folder)
        result["reused"] = take_the_same_memory(training)
    ranks.meet()
    for name, part in {"three": three, "four": ranks}.items():
        if part is not None:
            result[name] = load(part, folder / "two")
    if three is not None:
        result["spread"] = load_unsharded(three, folder / "plain.pt")
    return result


def save_while_training(training: Training, ranks: Ranks, path: Path) -> dict[str, Any]:
    for _ in range(3):
        training.step()
    training.model.norm.running_mean += ranks.rank  # what rank 0 has is saved
    copy = host_copy(*training.parts)
    expected = training.whole()
    assert ranks.saving_group is not None
    writing = threading.Thread(target=save_sharded, args=(copy, path), kwargs=group_of(ranks))
    writing.start()
    for _ in range(20):
        training.step()
    writing.join()
    own = sum(t.to_local().numel() for t in copy.tensors.values() if isinstance(t, DTensor))
    everything = sum(t.numel() for t in copy.tensors.values() if isinstance(t, DTensor))
    return {"expected": expected, "own": own / everything}


def group_of(ranks: Ranks) -> dict[str, Any]:
    return {"group": ranks.saving_group}


def fail_on_one_rank(training: Training, ranks: Ranks, folder: Path) -> str:
    """Save where rank 1 may write files of no more than some bytes; return the error."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if ranks.rank == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    with pytest.raises(OSError) as caught:
        save_sharded(host_copy(*training.parts), folder / "failed", **group_of(ranks))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    return str(caught.value)


def cancel_on_rank_0(training: Training, ranks: Ranks, folder: Path) -> str:
    assert ranks.saving_group is not None
    if ranks.is_main:
        cancel_save(group=ranks.saving_group)
        return ""
    with pytest.raises(OSError) as caught:
        save_sharded(host_copy(*training.parts), folder / "cancelled", **group_of(ranks))
    assert not (folder / "cancelled").exists()
    return str(caught.value)


def take_the_same_memory(training: Training) -> bool:
    first = host_copy(*training.parts)
    places = addresses(first)
    training.step()
    second = host_copy(*training.parts, reuse=first)
    fresh = host_copy(*training.parts)
    same = all(torch.equal(local(t), local(fresh.tensors[n])) for n, t in second.tensors.items())
    return same and addresses(second) == places != addresses(fresh)


def addresses(state: ShardedState) -> dict[str, int]:
    return {name: local(tensor).data_ptr() for name, tensor in state.tensors.items()}


def local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def load(ranks: Ranks, path: Path) -> dict[str, Any]:
    """Load into a training that began otherwise and had gone on; then take a step."""
    training = Training(ranks, seed=2)
    training.step()
    training.optimizer.load_state_dict(load_sharded(path, *training.parts))
    loaded = training.whole()
    training.step()
    return {"loaded": loaded, "next": training.whole()}


def load_unsharded(ranks: Ranks, path: Path) -> dict[str, Any]:
    saved, training = torch.load(path), Training(ranks, seed=2)
    model, optimizer, _ = training.parts
    targets = model.state_dict()
    model.load_state_dict(
        {name: part_of(saved["weights"][name], like=targets[name]) for name in targets}
    )
    optimizer.load_state_dict(optimizer_state_parts(optimizer, saved["optimizer"]))
    assert is_sharded(model)
    return training.whole()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Training:
    """A training in one process, written as such."""
    training = Training(None, seed=3)
    training.step()
    state = {"weights": training.model.state_dict(), "optimizer": training.optimizer.state_dict()}
    torch.save(state, folder / "plain.pt")
    return training


@pytest.fixture(scope="module")
def results(folder: Path, plain: Training) -> list[dict[str, Any]]:
    return results_of(work, count=4, folder=folder)


@pytest.fixture(scope="module")
def saved(folder: Path, results: list[dict[str, Any]]) -> Path:
    """Return the directory that 2 ranks wrote."""
    return folder / "two"


def test_each_rank_copies_and_writes_its_part_alone(
    results: list[dict[str, Any]], saved: Path
) -> None:
    assert holds_sharded(saved) and not holds_sharded(saved.parent)
    assert sorted(path.name for path in saved.iterdir()) == [
        ".metadata",
        "__0_0.distcp",
        "__1_0.distcp",
    ]
    assert all(result["two"]["own"] < 0.65 for result in results[:2])


def test_a_later_copy_takes_the_memory_of_an_earlier_one(results: list[dict[str, Any]]) -> None:
    assert all(result["reused"] for result in results[:2])


def test_what_was_copied_is_saved_though_training_went_on_and_any_number_of_ranks_loads_it(
    results: list[dict[str, Any]], saved: Path
) -> None:
    expected = results[0]["two"]["expected"]
    one = Training(None, seed=2)
    one.step()
    one.optimizer.load_state_dict(load_sharded(saved, *one.parts))
    assert_equal(one.whole(), expected)
    assert_equal(results[0]["three"]["loaded"], expected)
    assert_equal(results[0]["four"]["loaded"], expected)
    one.step()
    for name in ("three", "four"):
        torch.testing.assert_close(results[0][name]["next"], one.whole())


def test_what_one_process_wrote_goes_on_sharded(
    results: list[dict[str, Any]], plain: Training
) -> None:
    spread, expected = results[0]["spread"], plain.whole()
    assert_equal(spread["model"], expected["model"])
    assert_equal(spread["state"], expected["state"])
    assert spread["groups"] == expected["groups"]


def test_a_rank_that_cannot_write_is_an_os_error_on_all(results: list[dict[str, Any]]) -> None:
    for result in results[:2]:
        assert "rank 1 could not write to" in result["failure"]


def test_when_rank_0_cannot_begin_the_others_touch_nothing(
    results: list[dict[str, Any]],
) -> None:
    assert results[1]["cancelled"] == "rank 0 could not begin to write"


def test_averaged_weights_are_read_whole_under_plain_names(
    results: list[dict[str, Any]], saved: Path
) -> None:
    expected = results[0]["two"]["expected"]["average"]
    weights = read_sharded_weights(saved)
    assert_equal(weights, expected)
    assert weights["tied.weight"] is weights["last.weight"]
    model = Net()
    load_sharded_weights(saved, model)
    assert_equal(model.state_dict(), expected)


def test_another_model_is_refused_naming_what_differs(saved: Path) -> None:
    training = Training(None, seed=2)
    training.model.lost = nn.Linear(2, 2)
    training.model.last.bias = nn.Parameter(torch.zeros(4))
    del training.model.first.bias
    with pytest.raises(CheckpointError) as caught:
        load_sharded(saved, *training.parts)
    assert "model.lost.weight is missing from it" in str(caught.value)
    assert "model.first.bias is unexpected" in str(caught.value)
    assert "model.last.bias has shape (3,), the model has (4,)" in str(caught.value)


def test_averaged_weights_on_one_side_only_are_refused(saved: Path) -> None:
    training = Training(None, seed=2)
    with pytest.raises(CheckpointError, match="average.first.weight is unexpected"):
        load_sharded(saved, training.model, training.optimizer)


def test_another_grouping_of_parameters_is_refused(saved: Path) -> None:
    training = Training(None, seed=2)
    optimizer = torch.optim.AdamW([training.model.first.weight])
    with pytest.raises(CheckpointError, match=r"unexpected: \['first.bias'"):
        load_sharded(saved, training.model, optimizer, training.average)


def copied(source: Path, target: Path) -> Path:
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


@pytest.mark.parametrize("name", [".metadata", "__1_0.distcp"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_checkpoint_is_told(saved: Path, tmp_path: Path, name: str, damage: str) -> None:
    path = copied(saved, tmp_path / "copy")
    if damage == "gone":
        (path / name).unlink()
    else:
        content = (path / name).read_bytes()
        (path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_sharded(path, *Training(None, seed=2).parts)


class Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_loading_runs_no_code_from_the_files(saved: Path, tmp_path: Path) -> None:
    path = copied(saved, tmp_path / "copy")
    (path / ".metadata").write_bytes(pickle.dumps(Harm(tmp_path / "harm")))
    with pytest.raises(CheckpointError, match=r"asks for pathlib"):
        read_sharded_weights(path)
    assert not (tmp_path / "harm").exists()

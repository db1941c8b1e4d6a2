import resource
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from runner.checkpoint.store import CheckpointStore, Snapshot
from runner.errors import CheckpointError


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight


def snapshot_of(model: nn.Module, **training: object) -> Snapshot:
    return Snapshot(weights=model.state_dict(), training=training, rank={"random": [1, 2]})


def test_a_written_checkpoint_is_read_back(tmp_path: Path) -> None:
    store, model = CheckpointStore(tmp_path), nn.Linear(2, 2)
    store.write(5, snapshot_of(model, progress={"step": 5}))
    other = nn.Linear(2, 2)
    snapshot = store.read(5, other)
    assert torch.equal(other.weight, model.weight)
    assert snapshot.training == {"progress": {"step": 5}}
    assert snapshot.rank == {"random": [1, 2]}


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    store, model = CheckpointStore(tmp_path), Tied()
    store.write(1, snapshot_of(model))
    assert store.manifest(1).tied == {"second.weight": "first.weight"}
    other = Tied()
    store.read_weights(1, other)
    assert other.second.weight is other.first.weight
    assert torch.equal(other.second.weight, model.first.weight)


def test_two_empty_tensors_are_not_taken_for_tied_ones(tmp_path: Path) -> None:
    store, model = CheckpointStore(tmp_path), nn.Module()
    model.register_buffer("first", torch.empty(0))
    model.register_buffer("second", torch.empty(0))
    store.write(1, snapshot_of(model))
    assert store.manifest(1).tied == {}


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "manifest"])
def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path: Path, damage: str) -> None:
    store, model = CheckpointStore(tmp_path), nn.Linear(2, 2)
    store.write(1, snapshot_of(model))
    newest = store.write(2, snapshot_of(model))
    weights = newest / "model.safetensors"
    content = weights.read_bytes()
    if damage == "truncate":
        weights.write_bytes(content[:-1])
    elif damage == "flip":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "delete":
        weights.unlink()
    else:
        (newest / "manifest.json").write_text("{")
    assert store.newest_valid() == 1


def test_a_directory_without_a_manifest_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "step_00000003").mkdir()
    (tmp_path / ".step_00000004.1.partial").mkdir()
    assert CheckpointStore(tmp_path).steps() == []


def test_a_damaged_checkpoint_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    store, model = CheckpointStore(tmp_path), nn.Linear(2, 2)
    path = store.write(1, snapshot_of(model))
    (path / "model.safetensors").write_bytes(b"")
    store.write(1, snapshot_of(model))
    assert store.newest_valid() == 1
    store.write(2, snapshot_of(model))
    assert not list(tmp_path.glob(".*")), "leftovers stay behind"


def test_a_kill_while_a_checkpoint_is_replaced_loses_nothing(tmp_path: Path) -> None:
    store, model = CheckpointStore(tmp_path), nn.Linear(2, 2)
    path = store.write(1, snapshot_of(model))
    path.rename(tmp_path / ".step_00000001.replaced")  # the instant between the two renames
    assert store.steps() == []
    assert store.newest_valid() == 1


def test_a_failed_write_leaves_nothing_and_harms_nothing(tmp_path: Path) -> None:
    store, model = CheckpointStore(tmp_path), nn.Linear(2, 2)
    store.write(1, snapshot_of(model))
    with pytest.raises(Exception, match="pickle"):
        store.write(2, snapshot_of(model, progress=lambda: None))
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001"]
    assert store.newest_valid() == 1


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.write(1, snapshot_of(nn.Linear(2, 2)))
    with pytest.raises(CheckpointError, match="weight has shape .2, 2., the model has .3, 2."):
        store.read_weights(1, nn.Linear(2, 3))
    with pytest.raises(CheckpointError, match="0.weight is missing.*weight is not in the model"):
        store.read_weights(1, nn.Sequential(nn.Linear(2, 2)))


def test_loading_runs_no_code(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "executed",))

    store, model = CheckpointStore(tmp_path / "store"), nn.Linear(1, 1)
    path = store.write(1, snapshot_of(model))
    torch.save(Payload(), path / "training.pt")
    with pytest.raises(Exception, match="[Ww]eights"):
        store.read(1, model)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("training_values", [1, 5000], ids=["weights", "training-state"])
def test_a_full_disk_is_an_os_error_and_harms_nothing(tmp_path: Path, training_values: int) -> None:
    """Real: no file of this process may grow past a limit that one of the two files needs."""
    store, model = CheckpointStore(tmp_path), nn.Linear(2, 2)
    store.write(1, snapshot_of(model))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 if training_values == 1 else 8000, before[1]))
    try:
        with pytest.raises(OSError):
            store.write(2, snapshot_of(model, values=torch.randn(training_values)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert store.newest_valid() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001"]

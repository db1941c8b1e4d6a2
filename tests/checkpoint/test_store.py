import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from runner.checkpoint.snapshot import Snapshot
from runner.checkpoint.store import CheckpointStore
from runner.errors import CheckpointError


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight


def snapshot_of(model: nn.Module, **training: object) -> Snapshot:
    return Snapshot(weights=model.state_dict(), training=training, ranks=[{"random": [1, 2]}])


def test_a_written_checkpoint_is_read_back(tmp_path: Path) -> None:
    store, model = CheckpointStore(tmp_path), nn.Linear(2, 2)
    store.write(5, snapshot_of(model, progress={"step": 5}))
    other = nn.Linear(2, 2)
    training = store.read(5, other)
    assert torch.equal(other.weight, model.weight)
    assert training == {"progress": {"step": 5}}
    assert (store.num_ranks(5), store.read_rank(5, 0)) == (1, {"random": [1, 2]})
    assert store.read_rank(5, 1) is None


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


def large_snapshot(value: float, *, megabytes: int = 3) -> Snapshot:
    return Snapshot(
        weights={"weight": torch.full((megabytes * 250_000,), value)},
        training={},
        ranks=[{}],
        num_bytes=0,
    )


def names_in(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_a_full_file_system_is_told_and_harms_nothing(small_disk: Path) -> None:
    """Real: the second checkpoint finds room for two thirds of it."""
    store = CheckpointStore(small_disk / "checkpoints")
    store.write(1, large_snapshot(1.0))
    with pytest.raises(OSError, match="[Nn]o space left|os error 28"):
        store.write(2, large_snapshot(2.0))
    assert names_in(store.root) == ["step_00000001"]
    assert store.newest_valid() == 1
    store.write(2, large_snapshot(2.0, megabytes=1))
    assert store.newest_valid() == 2


def test_free_space_is_looked_at_before_anything_is_written(small_disk: Path) -> None:
    store = CheckpointStore(small_disk / "checkpoints")
    store.write(1, large_snapshot(1.0))
    snapshot = Snapshot(weights={}, training={}, ranks=[{}], num_bytes=3_000_000)
    with pytest.raises(OSError, match=r"needs 3.0 MB in .*checkpoints, where 2.\d MB are free"):
        store.write(2, snapshot)
    assert names_in(store.root) == ["step_00000001"]


def test_a_file_system_that_becomes_read_only_is_told_and_harms_nothing(small_disk: Path) -> None:
    store, model = CheckpointStore(small_disk), nn.Linear(2, 2)
    store.write(1, snapshot_of(model))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OSError, match="[Rr]ead-only"):
        store.write(2, snapshot_of(model))
    assert store.newest_valid() == 1
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    store.write(2, snapshot_of(model))
    assert store.newest_valid() == 2


WRITE_FOR_EVER = """
import sys
from itertools import count
from pathlib import Path
import torch
from runner.checkpoint.snapshot import Snapshot
from runner.checkpoint.store import CheckpointStore

store = CheckpointStore(Path(sys.argv[1]))
for step in count(1):
    weights = {"weight": torch.full((5_000_000,), float(step))}
    store.write(step, Snapshot(weights=weights, training={"step": step}, ranks=[{}]))
    if step > 1:
        store.delete(step - 1)
    print(step, flush=True)
"""


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.04])
def test_a_kill_inside_a_write_loses_no_committed_checkpoint(
    tmp_path: Path, seconds: float
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    committed = [int(child.stdout.readline()) for _ in range(2)][-1]
    while not (partial := list(tmp_path.glob(f".step_*.{child.pid}.partial"))):
        assert child.poll() is None
    time.sleep(seconds)
    child.kill()
    committed = int([committed, *child.communicate()[0].split()][-1])
    store = CheckpointStore(tmp_path)
    newest = store.newest_valid()
    assert newest in (committed, committed + 1)
    model = nn.Module()
    model.register_buffer("weight", torch.zeros(5_000_000))
    assert store.read(newest, model) == {"step": newest}
    assert model.weight.eq(newest).all()
    store.write(99, snapshot_of(nn.Linear(1, 1)))
    assert partial and not list(tmp_path.glob(".*")), "the next write clears what was left"


def test_averaged_weights_are_those_to_use_and_not_those_to_train_on(tmp_path: Path) -> None:
    store, model, average = CheckpointStore(tmp_path), nn.Linear(2, 2), nn.Linear(2, 2)
    weights = {"weights": model.state_dict(), "average": average.state_dict()}
    store.write(1, Snapshot(**weights, training={}, ranks=[{}]))
    to_use, to_train, its_average = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
    store.read_weights(1, to_use)
    store.read(1, to_train, its_average)
    assert torch.equal(to_use.weight, average.weight)
    assert torch.equal(to_train.weight, model.weight)
    assert torch.equal(its_average.weight, average.weight)
    assert [path.name for path in store.weight_files(1)] == ["average.safetensors"]
    with pytest.raises(CheckpointError, match="saved with averaged weights"):
        store.read(1, to_train)


def test_shards_are_part_of_a_checkpoint(tmp_path: Path) -> None:
    store, model = CheckpointStore(tmp_path, max_shard_bytes=20), nn.Linear(2, 2)
    path = store.write(1, snapshot_of(model))
    other = nn.Linear(2, 2)
    CheckpointStore(tmp_path).read_weights(1, other)
    assert torch.equal(other.weight, model.weight)
    assert len(store.weight_files(1)) == 3
    (path / "model-00002-of-00002.safetensors").unlink()
    assert store.newest_valid() is None


def test_files_in_folders_are_part_of_a_checkpoint(tmp_path: Path) -> None:
    def add(directory: Path) -> None:
        (directory / "sharded").mkdir()
        (directory / "sharded" / "part").write_bytes(b"content")

    store = CheckpointStore(tmp_path)
    path = store.write(1, snapshot_of(nn.Linear(1, 1)), add=add)
    assert "sharded/part" in store.manifest(1).files
    assert store.newest_valid() == 1
    (path / "sharded" / "part").write_bytes(b"contenT")
    assert store.newest_valid() is None


def test_the_number_of_ranks_is_known(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    snapshot = Snapshot(weights={}, training={}, ranks=[{"own": 0}, {"own": 1}])
    store.write(1, snapshot)
    assert store.num_ranks(1) == 2
    assert [store.read_rank(1, rank) for rank in range(3)] == [{"own": 0}, {"own": 1}, None]


def test_each_file_and_each_piece_of_a_checksum_is_a_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[str] = []

    def count(work: Callable[..., Any]) -> int:
        beats.clear()
        work(beat=lambda: beats.append("beat"))
        return len(beats)

    monkeypatch.setattr("runner.checkpoint.manifest._READ_BYTES", 1000)
    store, model = CheckpointStore(tmp_path), nn.Linear(100, 100)
    assert count(partial(store.write, 1, snapshot_of(model))) >= 3 + 40 + 3
    assert count(store.newest_valid) >= 40
    assert count(partial(store.is_valid, 1)) >= 40
    assert count(partial(store.read, 1, model)) == 2


def test_a_checkpoint_without_its_manifest_is_told_and_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, model = CheckpointStore(tmp_path), nn.Linear(2, 2)
    for step in (1, 2):
        store.write(step, snapshot_of(model))
    (store.path_of(2) / "manifest.json").unlink()
    assert store.newest_valid() == 1
    assert (tmp_path / "damaged_step_00000002").is_dir()
    assert "manifest.json cannot be read" in caplog.text


def test_others_may_read_what_they_may_read_in_the_directory(tmp_path: Path) -> None:
    path = CheckpointStore(tmp_path).write(1, snapshot_of(nn.Linear(2, 2)))
    modes = {file.stat().st_mode & 0o777 for file in path.iterdir()}
    assert modes == {path.stat().st_mode & 0o666}


class OwnKind:
    """Pickled without complaint, and refused by a reader that runs no code."""


def test_a_state_that_could_never_be_read_back_is_refused_by_name(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    state = {"steps": [1, torch.zeros(2)], "kept": OwnKind()}
    with pytest.raises(CheckpointError, match=r"the state of callbacks\.mine could not be read"):
        store.write(1, snapshot_of(nn.Linear(2, 2), **{"callbacks.mine": state}))
    assert store.steps() == []

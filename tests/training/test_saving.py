import logging
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from runner.checkpoint.store import CheckpointStore
from runner.config.options import CheckpointOptions
from runner.errors import CheckpointError, RunError
from runner.runtime.ranks import ALONE
from runner.runtime.watchdog import Watchdog
from runner.training.best import Best
from runner.training.progress import Progress
from runner.training.saving import Saver


class World:
    """A model that is trained by hand, and its saver."""

    def __init__(self, root: Path, **changes: Any) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(4, 4)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.1)
        self.progress = Progress()
        self.best = Best("min")
        self.store = CheckpointStore(root)
        pieces: dict[str, Any] = {
            "model": self.model,
            "average": None,
            "state": {"progress": self.progress, "optimizer": self.optimizer, "best": self.best},
            "rank_state": {},
            "identity": {"seed": 0},
            "best": self.best,
            "options": CheckpointOptions(keep_last=99),
            "ranks": ALONE,
            "sync_journal": lambda: None,
        }
        self.saver = Saver(self.store, **{**pieces, **changes})

    def train(self, steps: int = 1) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.model(torch.ones(2, 4)).square().mean().backward()
            self.optimizer.step()
            self.progress.advance(batches=1, samples=2, ends_epoch=False)

    def save(self, *, planned: bool = True) -> bool:
        return self.saver.save(self.progress.step, evaluations=0, planned=planned)

    def weights_at(self, step: int) -> torch.Tensor:
        model = nn.Linear(4, 4)
        self.store.read_weights(step, model)
        return model.weight.detach()


class Gate:
    """Holds every write of a store back until it is opened."""

    def __init__(self, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened, self.reached = threading.Event(), threading.Event()
        write: Callable[..., Path] = store.write

        def held(*arguments: Any, **rest: Any) -> Path:
            self.reached.set()
            assert self.opened.wait(30)
            return write(*arguments, **rest)

        monkeypatch.setattr(store, "write", held)


def test_training_goes_on_while_what_it_was_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    gate = Gate(world.store, monkeypatch)
    world.train(2)
    weight, state = world.model.weight.detach().clone(), deepcopy(world.optimizer.state_dict())
    assert world.save()
    assert gate.reached.wait(10)
    world.train(3)
    assert world.saver.committed() == []
    gate.opened.set()
    world.saver.wait()
    assert world.saver.committed() == [2]
    assert world.saver.committed() == []
    again = World(tmp_path)
    assert again.saver.restore() == 2
    assert torch.equal(again.model.weight, weight)
    assert torch.equal(
        again.optimizer.state_dict()["state"][0]["exp_avg"], state["state"][0]["exp_avg"]
    )
    assert again.progress.step == 2


def test_a_second_save_waits_for_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    gate = Gate(world.store, monkeypatch)
    world.save()
    world.train()
    second = threading.Thread(target=world.save)
    second.start()
    assert gate.reached.wait(10)
    second.join(0.1)
    assert second.is_alive()
    gate.opened.set()
    second.join(10)
    world.saver.wait()
    assert world.saver.committed() == [0, 1]


def test_nothing_new_is_not_saved_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.save()
    assert not world.save()
    assert world.saver.save(0, evaluations=1)
    world.saver.wait()
    assert World(tmp_path, options=CheckpointOptions(enabled=False)).save() is False


def test_a_write_that_fails_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    world.save()
    world.saver.wait()
    world.train()
    with monkeypatch.context() as broken:
        broken.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
        world.save()
        world.saver.wait()
    assert "checkpoint failed step=1: it needs 0.0 MB" in caplog.text
    assert "training goes on" in caplog.text
    assert world.store.steps() == [0]
    assert world.save()
    world.saver.wait()
    assert world.saver.committed() == [0, 1]


def test_rows_of_the_journal_come_before_the_checkpoint(tmp_path: Path) -> None:
    def fail() -> None:
        threads.append(threading.current_thread())
        raise OSError("the journal cannot be written")

    threads: list[threading.Thread] = []
    world = World(tmp_path, sync_journal=fail)
    world.save()
    world.saver.wait()
    assert world.store.steps() == []
    assert threads != [threading.main_thread()]


def test_a_state_that_cannot_be_written_ends_the_training(tmp_path: Path) -> None:
    class Local:
        def state_dict(self) -> dict[str, Any]:
            return {"object": self}

        def load_state_dict(self, state: dict[str, Any]) -> None: ...

    world = World(tmp_path, state={"local": Local()})
    world.save()
    with pytest.raises(Exception, match="Local"):
        world.saver.wait()


def test_old_checkpoints_are_deleted_only_after_the_new_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, options=CheckpointOptions(keep_last=1))
    world.save()
    world.saver.wait()
    world.train()
    with monkeypatch.context() as broken:
        broken.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
        world.save()
        world.saver.wait()
    assert world.store.steps() == [0]
    gate = Gate(world.store, monkeypatch)
    world.save()
    assert gate.reached.wait(10)
    assert world.store.steps() == [0]
    gate.opened.set()
    world.saver.wait()
    assert world.store.steps() == [1]


def test_an_old_checkpoint_that_cannot_be_deleted_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(step: int) -> None:
        raise OSError("no permission")

    world = World(tmp_path, options=CheckpointOptions(keep_last=1))
    monkeypatch.setattr(world.store, "delete", fail)
    for _ in range(2):
        world.save()
        world.train()
    world.saver.wait()
    assert world.saver.committed() == [0, 1]
    assert "an old checkpoint stays step=0: no permission" in caplog.text


def test_every_nth_step_is_kept_for_good(tmp_path: Path) -> None:
    world = World(tmp_path, options=CheckpointOptions(keep_last=1, keep_every_steps=2))
    for _ in range(6):
        world.train()
        world.save()
    world.saver.wait()
    assert world.store.steps() == [2, 4, 6]


def test_rolling_back_goes_to_the_last_planned_checkpoint(tmp_path: Path) -> None:
    world = World(tmp_path, options=CheckpointOptions(keep_last=1))
    assert world.saver.roll_back() is None
    world.train(2)
    world.save()
    at_two = world.model.weight.detach().clone()
    moments = deepcopy(world.optimizer.state_dict()["state"])
    world.train()
    world.save(planned=False)
    world.train()
    world.optimizer.param_groups[0]["lr"] = 0.05
    assert world.saver.roll_back() == 2
    assert world.progress.step == 4
    assert world.optimizer.param_groups[0]["lr"] == 0.05
    assert torch.equal(world.model.weight, at_two)
    assert torch.equal(world.optimizer.state_dict()["state"][0]["exp_avg"], moments[0]["exp_avg"])
    assert world.store.steps() == [2, 3], "the one to roll back to is kept"
    again = World(tmp_path)
    assert again.saver.restore() == 3
    assert again.saver.roll_back() == 2
    assert torch.equal(again.model.weight, at_two)


def test_rolling_back_to_a_damaged_checkpoint_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    world.save()
    world.saver.wait()
    (world.store.path_of(0) / "training.pt").write_bytes(b"")
    assert world.saver.roll_back() is None
    assert "checkpoint skipped step=0" in caplog.text


def test_averaged_weights_are_saved_and_restored_beside_the_others(tmp_path: Path) -> None:
    average = nn.Linear(4, 4)
    world = World(tmp_path, average=average)
    world.best.update(0.5, step=0, counts=True)
    world.save()
    world.saver.wait()
    again, its_average = World(tmp_path, average=nn.Linear(4, 4)), nn.Linear(4, 4)
    again = World(tmp_path, average=its_average)
    assert again.saver.restore() == 0
    assert torch.equal(its_average.weight, average.weight)
    assert torch.equal(again.model.weight, world.model.weight)
    assert again.saver.restore_best_weights() == 0
    assert torch.equal(again.model.weight, average.weight)
    with pytest.raises(CheckpointError, match="trainer.ema_decay must be as it was"):
        World(tmp_path).saver.restore()


def test_what_is_the_ranks_own_is_restored(tmp_path: Path) -> None:
    own = Progress(step=7)
    world = World(tmp_path, rank_state={"own": own})
    world.save()
    world.saver.wait()
    expected = torch.rand(3)
    again = Progress()
    other = World(tmp_path, rank_state={"own": again})
    other.saver.restore()
    assert again.step == 7
    assert torch.equal(torch.rand(3), expected)
    with pytest.raises(CheckpointError, match="rank 0 lacks .'other'. and holds unknown .'own'"):
        World(tmp_path, rank_state={"other": again}).saver.restore()


def test_a_saved_line_tells_seconds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World(tmp_path)
    world.save()
    world.saver.wait()
    assert "saved step=0 seconds=" in caplog.text


def test_the_best_checkpoint_that_is_there_outlives_a_failed_save_of_a_better_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, options=CheckpointOptions(keep_last=1))

    def train_and_save(loss: float) -> torch.Tensor:
        world.train()
        world.best.update(loss, step=world.progress.step, counts=True)
        world.save()
        world.saver.wait()
        return world.model.weight.detach().clone()

    at_one = train_and_save(0.5)
    with monkeypatch.context() as broken:
        broken.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
        train_and_save(0.1)
    train_and_save(0.9)
    assert world.store.steps() == [1, 3]
    again = World(tmp_path)
    again.saver.restore()
    assert again.saver.restore_best_weights() == 1
    assert torch.equal(again.model.weight, at_one)
    train_and_save(0.2)
    assert world.store.steps() == [4], "a better one is there"


class Unwritable:
    def state_dict(self) -> dict[str, Any]:
        return {"object": lambda: None}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@pytest.mark.parametrize("boundary", ["committed", "save", "wait", "finish", "wait_for_last"])
def test_what_cannot_be_written_at_all_is_raised_at_the_next_boundary(
    tmp_path: Path, boundary: str
) -> None:
    world = World(tmp_path, state={"local": Unwritable()})
    world.train(7)
    world.save()
    while not world.saver._writer._in_flight.done():  # type: ignore[union-attr]
        time.sleep(0.01)
    ways: dict[str, Callable[[], Any]] = {
        "committed": world.saver.committed,
        "save": world.save,
        "wait": world.saver.wait,
        "finish": world.saver.finish,
        "wait_for_last": lambda: world.saver.wait_for_last(7, evaluations=0),
    }
    with pytest.raises(
        RunError, match="the checkpoint of step 7 cannot be written to .*lambda"
    ) as raised:
        ways[boundary]()
    assert raised.value.__cause__ is not None
    world.saver.wait()


def slow(work: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    """Return `work` that takes longer, and gives its sign of life in between."""

    def slowed(*arguments: Any, beat: Callable[[], None], **rest: Any) -> Any:
        for _ in range(int(seconds / 0.05)):
            time.sleep(0.05)
            beat()
        return work(*arguments, beat=beat, **rest)

    return slowed


def test_a_long_save_and_a_long_restore_that_get_on_are_no_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs: list[str] = []
    with Watchdog(0.6, hangs.append) as watchdog:
        world = World(tmp_path, beat=watchdog.beat)
        monkeypatch.setattr(world.store, "write", slow(world.store.write, 1.5))
        world.save()
        world.saver.wait_for_last(0, evaluations=0)
        monkeypatch.setattr(world.store, "newest_valid", slow(world.store.newest_valid, 1.5))
        assert world.saver.restore() == 0
    assert hangs == []


def test_a_save_that_hangs_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hung = threading.Event()
    with Watchdog(0.3, lambda _: hung.set()) as watchdog:
        world = World(tmp_path, beat=watchdog.beat)
        gate = Gate(world.store, monkeypatch)
        world.save()
        threading.Timer(2.0, gate.opened.set).start()
        world.saver.wait()
    assert hung.is_set()

"""Tasks that train an epoch of their own: one step here, exact at epoch ends."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from runner.build.optimizers import check_optimizer
from runner.config.options import Options
from runner.data.data import Batch
from runner.errors import ConfigError, Interrupted
from runner.tasks.classification import Classification
from tests.data.streams import Samples
from tests.training.alternations import Epochs, options, turns
from tests.training.harness import (
    StopAt,
    final_state,
    journal_of,
    same,
    tiny_data,
    tiny_parts,
    train,
)

ONE: dict[str, Any] = {"scheduler": partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1e-2)}


class StopsInside(Epochs):
    """Is asked to stop at a batch in the middle of an epoch."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self._left = batch

    def training_epoch(self, model: nn.Module, batches: Iterator[Batch], update: Any) -> Any:
        return super().training_epoch(model, self._stopping(batches), update)

    def _stopping(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self._left -= 1
            if self._left == 0:
                signal.raise_signal(signal.SIGTERM)
            yield batch


def saving_each(**trainer: Any) -> Options:
    plain = options(**trainer)
    return replace(plain, checkpoint=replace(plain.checkpoint, every="1 epochs"))


def batches_in(path: Path) -> list[float]:
    return [values["batches"] for _, _, split, values in journal_of(path) if split == "train"]


@pytest.mark.parametrize(
    ("cut", "kept"),
    [(lambda: {"callbacks": {"stop": StopAt(2)}}, 2), (lambda: {"task": StopsInside(9)}, 1)],
    ids=["between-epochs", "inside-an-epoch"],  # of six batches
)
@pytest.mark.parametrize("several", [False, True])
def test_a_resumed_run_is_the_straight_one(
    tmp_path: Path, cut: Callable[[], dict[str, Any]], kept: int, several: bool
) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"

    def how(**changes: Any) -> dict[str, Any]:
        return {**(turns() if several else ONE), "task": Epochs(), **changes}

    train(straight, saving_each(), **how())
    with pytest.raises(Interrupted):
        train(resumed, saving_each(), **how(**cut()))
    assert final_state(resumed)[1]["progress"]["step"] == kept
    train(resumed, saving_each(), **how())
    assert same(final_state(straight), final_state(resumed))
    assert journal_of(straight) == journal_of(resumed)


def test_a_stop_inside_an_epoch_ends_at_the_next_batch(tmp_path: Path) -> None:
    class Counting(StopsInside):
        read = 0

        def prepare(self, batch: Any) -> Batch:
            Counting.read += 1
            return super().prepare(batch)

    with pytest.raises(Interrupted):
        train(tmp_path, saving_each(), **{**ONE, "task": Counting(2)})
    assert Counting.read == 2
    log = (tmp_path / "logs" / "rank_0.log").read_text()
    assert "a resume is exact at epoch ends" in log
    assert "stopped inside an epoch" in log


def test_steps_count_epochs_and_each_has_its_row(tmp_path: Path) -> None:
    how = options(max_epochs=None, max_steps=3, log_every_steps=50, evaluate_every="1 epochs")
    result = train(tmp_path, how, **{**ONE, "task": Epochs()})
    rows = journal_of(tmp_path)
    assert result.step == 3
    assert [(step, split) for step, _, split, _ in rows] == [
        (1, "train"), (1, "evaluation"), (2, "train"), (2, "evaluation"),
        (3, "train"), (3, "evaluation"), (3, "test"),
    ]  # fmt: skip
    assert rows[0][3]["batches"] == 6
    assert rows[0][3]["lr"] != rows[2][3]["lr"]
    assert final_state(tmp_path)[1]["progress"]["samples"] == 72


def test_an_epoch_may_end_before_its_batches(tmp_path: Path) -> None:
    train(tmp_path, options(), **{**ONE, "task": Epochs(most=2)})
    assert [v["batches"] for _, _, split, v in journal_of(tmp_path) if split == "train"] == [
        2.0
    ] * 3
    assert final_state(tmp_path)[1]["progress"]["samples"] == 24


def test_batches_are_read_when_asked_for(tmp_path: Path) -> None:
    events: list[str] = []

    class Watched(Epochs):
        def prepare(self, batch: Any) -> Batch:
            events.append("read")
            return super().prepare(batch)

        def training_epoch(self, model: nn.Module, batches: Iterator[Batch], update: Any) -> Any:
            def told() -> Iterator[Batch]:
                for batch in batches:
                    events.append("used")
                    yield batch

            return super().training_epoch(model, told(), update)

    how = options(max_epochs=1, evaluate_every=None, evaluate_at_end=False, test_at_end=False)
    train(tmp_path, how, **{**ONE, "task": Watched()})
    assert events == ["read", "used"] * 6


def test_a_stream_is_read_epoch_by_epoch(tmp_path: Path) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    how = {**ONE, "task": Epochs(), "data": tiny_data(train=Samples(15, 8))}
    train(straight, saving_each(), **how)
    with pytest.raises(Interrupted):
        train(resumed, saving_each(), **how, callbacks={"stop": StopAt(1)})
    train(resumed, saving_each(), **how)
    assert [v["batches"] for _, _, split, v in journal_of(straight) if split == "train"] == [
        6.0
    ] * 3
    assert same(final_state(straight), final_state(resumed))


def test_weights_are_averaged_after_each_batch(tmp_path: Path) -> None:
    """As with the ordinary step, which sees the same batches."""
    how = options(max_epochs=1, max_grad_norm=None)
    for name, task in (("own", {"task": Epochs()}), ("step", {})):
        torch.manual_seed(0)
        train(tmp_path / name, how, model=nn.Linear(8, 3), scheduler=None, **task)
    own, step = final_state(tmp_path / "own"), final_state(tmp_path / "step")
    assert same(own[0], step[0])
    assert same(own[2]["average.safetensors"], step[2]["average.safetensors"])


def test_a_split_is_evaluated_at_once_by_who_wants_it(tmp_path: Path) -> None:
    class Whole(Epochs):
        def evaluation_epoch(self, model: nn.Module, batches: Any, metrics: Any) -> None:
            for batch in list(batches):
                self.evaluation_step(model, batch, metrics)

    by_batch, at_once = tmp_path / "by_batch", tmp_path / "at_once"
    train(by_batch, options(), **ONE, task=Epochs())
    train(at_once, options(), **ONE, task=Whole())
    assert journal_of(by_batch) == journal_of(at_once)


def test_what_does_not_go_with_it_is_one_sentence() -> None:
    for knob, value in (
        ("gradient_accumulation_steps", 2),
        ("on_nonfinite", "skip"),
        ("on_out_of_memory", "split"),
    ):
        with pytest.raises(ConfigError, match=f"{knob}={value} does not go with Epochs"):
            tiny_parts(options(**{knob: value}), **{**ONE, "task": Epochs()})


def test_a_split_evaluated_at_once_and_sharding_are_refused_together() -> None:
    class Whole(Classification):
        def evaluation_epoch(self, model: nn.Module, batches: Any, metrics: Any) -> None: ...

    plain = options()
    how = replace(plain, hardware=replace(plain.hardware, sharding="fsdp"))
    optimizer = partial(torch.optim.SGD, lr=0.1)
    check_optimizer(optimizer, Classification(num_classes=3), nn.Linear(8, 3), how)
    with pytest.raises(ConfigError, match="does not go with Whole.evaluation_epoch"):
        check_optimizer(optimizer, Whole(num_classes=3), nn.Linear(8, 3), how)


def test_empty_epochs_are_refused() -> None:
    how = options()
    how = replace(how, loader=replace(how.loader, batch_size=64, drop_last=True))
    with pytest.raises(ConfigError, match="leaves no whole batch"):
        tiny_parts(how, **{**ONE, "task": Epochs()})

"""What is saved when something goes wrong: the last boundary, whole, and nothing of the next."""

import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from runner.config.options import CheckpointOptions
from runner.data.data import Batch
from runner.errors import Interrupted
from runner.tasks.classification import Classification
from runner.tasks.task import StepOutput
from runner.training.callback import Callback, Fit
from runner.training.health import NonfiniteError
from tests.training.harness import (
    StopAt,
    final_state,
    journal_of,
    same,
    tiny_data,
    tiny_options,
    train,
)
from tests.training.test_health import Poisoned, options


def model_with_buffers() -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 3)
    )


class FailsOnce(Classification):
    """Fails in a step after forward and backward, once."""

    def __init__(self, at: int) -> None:
        super().__init__(num_classes=3)
        self.at = at
        self.calls = 0

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        output = super().training_step(model, batch)
        self.calls += 1
        if self.calls == self.at:
            output.loss.backward(retain_graph=True)
            raise KeyError("in the middle of a step")
        return output


@pytest.mark.parametrize("at", [1, 5, 7])
def test_an_error_in_a_step_leaves_the_boundary_before_it(tmp_path: Path, at: int) -> None:
    straight, failed = tmp_path / "straight", tmp_path / "failed"
    train(straight, tiny_options(), model=_seeded(model_with_buffers))
    with pytest.raises(KeyError, match="in the middle"):
        train(failed, tiny_options(), model=_seeded(model_with_buffers), task=FailsOnce(at))
    assert final_state(failed)[1]["progress"]["step"] == at - 1
    train(failed, tiny_options(), model=_seeded(model_with_buffers))
    assert same(final_state(straight), final_state(failed))
    assert journal_of(straight) == journal_of(failed)


def test_a_schedule_that_fails_after_the_update_leaves_no_torn_checkpoint(tmp_path: Path) -> None:
    fails = [True]

    def factor(step: int) -> float:
        if step == 4 and fails[0]:
            fails[0] = False
            raise ValueError("in the schedule")
        return 1.0 / (1 + step)

    scheduler = partial(LambdaLR, lr_lambda=factor)
    straight, failed = tmp_path / "straight", tmp_path / "failed"
    with pytest.raises(ValueError, match="in the schedule"):
        train(failed, tiny_options(), scheduler=scheduler)
    train(failed, tiny_options(), scheduler=scheduler)
    train(straight, tiny_options(), scheduler=scheduler)
    assert same(final_state(straight), final_state(failed))
    assert journal_of(straight) == journal_of(failed)


def test_an_error_while_saving_does_not_hide_what_ended_the_training(tmp_path: Path) -> None:
    class CannotBeSaved(Callback):
        def state_dict(self) -> dict[str, Any]:
            raise RuntimeError("no state")

        def load_state_dict(self, state: dict[str, Any]) -> None: ...

        def on_step_end(self, fit: Fit) -> None:
            if fit.progress.step == 2:
                raise KeyError("the cause")

    with pytest.raises(Exception, match="the cause"):
        train(tmp_path, tiny_options(), callbacks={"bad": CannotBeSaved()})
    assert "nothing could be saved" in (tmp_path / "logs" / "rank_0.log").read_text()


def test_an_evaluation_at_the_start_that_was_interrupted_is_done_again(tmp_path: Path) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    chosen = tiny_options(evaluate_at_start=True)
    train(straight, chosen)
    with pytest.raises(Interrupted):
        train(resumed, chosen, callbacks={"stop": StopAt(0, in_evaluation=True)})
    train(resumed, chosen)
    assert journal_of(straight) == journal_of(resumed)
    assert same(final_state(straight), final_state(resumed))
    assert [row[0] for row in journal_of(straight) if row[2] == "evaluation"] == [0, 6, 12, 18]


def test_a_skipped_step_leaves_no_trace_in_running_means(tmp_path: Path) -> None:
    data = tiny_data(train=Poisoned(5))
    train(tmp_path, options("skip"), data=data, model=_seeded(model_with_buffers))
    assert all(bool(tensor.isfinite().all()) for tensor in final_state(tmp_path)[0].values())


@pytest.mark.parametrize("stop", [3, 6, 9, 12, 15])
def test_a_save_that_a_training_score_asked_for_is_planned_after_an_interruption_too(
    tmp_path: Path, stop: int
) -> None:
    """It may be rolled back to: losing the plan, the resumed run would go back elsewhere."""
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    chosen = replace(
        options("rollback", best_metric="train.loss"),
        checkpoint=CheckpointOptions(every="100 steps"),
    )
    data = tiny_data(train=Poisoned(20))
    outcome = _trained(partial(train, straight, chosen, data=data))
    try:
        again = _trained(
            partial(train, resumed, chosen, data=data, callbacks={"stop": StopAt(stop)})
        )
    except Interrupted:
        again = _trained(partial(train, resumed, chosen, data=data))
    assert again == outcome
    assert journal_of(straight) == journal_of(resumed)
    assert same(final_state(straight), final_state(resumed))


def test_a_second_signal_of_another_kind_changes_nothing(tmp_path: Path) -> None:
    class Twice(Callback):
        def on_step_end(self, fit: Fit) -> None:
            if fit.progress.step == 4:
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGUSR1)

    straight = tmp_path / "straight"
    with pytest.raises(Interrupted):
        train(tmp_path / "stopped", tiny_options(), callbacks={"twice": Twice()})
    train(tmp_path / "stopped", tiny_options())
    train(straight, tiny_options())
    assert same(final_state(straight), final_state(tmp_path / "stopped"))


def _seeded(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(11)
    return make()


def _trained(run: Callable[[], Any]) -> str:
    """Return how a training ended, in words."""
    try:
        return f"step {run().step}"
    except NonfiniteError as error:
        return str(error)

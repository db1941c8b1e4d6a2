import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from runner.errors import ConfigError, DataError, Interrupted
from runner.run.directory import RunDirectory
from runner.run.journal import read_journal
from runner.run.status import read_status
from runner.training.callback import Callback, Fit
from runner.training.events import CallbackError
from tests.training.harness import (
    StopAt,
    final_state,
    fixed_split,
    journal_of,
    same,
    tiny_data,
    tiny_options,
    train,
)


def rows(path: Path, split: str) -> list[int]:
    return [row.step for row in read_journal(path / "metrics.jsonl") if row.split == split]


@pytest.mark.parametrize("accumulation", [1, 4])
@pytest.mark.parametrize(
    "stop",
    [
        StopAt(3),
        StopAt(6),
        StopAt(7),
        StopAt(6, in_evaluation=True),
        StopAt(18, in_evaluation=True),
    ],
    ids=["mid-epoch", "epoch-end", "after-epoch", "in-evaluation", "in-last-evaluation"],
)
def test_a_resumed_run_equals_a_straight_one(
    tmp_path: Path, stop: StopAt, accumulation: int
) -> None:
    if accumulation > 1 and stop._step > 6:
        pytest.skip("the run has six steps")
    options = tiny_options(gradient_accumulation_steps=accumulation, max_grad_norm=1.0)
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    result = train(straight, options)
    with pytest.raises(Interrupted):
        train(resumed, options, callbacks={"stop": stop})
    status = read_status(RunDirectory(resumed))
    assert status is not None and status.state == "preempted"
    again = train(resumed, options)
    assert same(final_state(straight), final_state(resumed))
    assert journal_of(straight) == journal_of(resumed)
    assert (again.score, again.test) == (result.score, result.test)


def test_a_resumed_run_repeats_no_step(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watch(Callback):
        def on_step_end(self, fit: Fit) -> None:
            seen.append(fit.progress.step)

    with pytest.raises(Interrupted):
        train(tmp_path, tiny_options(), callbacks={"watch": Watch(), "stop": StopAt(5)})
    train(tmp_path, tiny_options(), callbacks={"watch": Watch()})
    assert seen == list(range(1, 19))


def test_accumulation_equals_the_whole_batch(tmp_path: Path) -> None:
    """Also where the micro-batches differ in size: 24 samples in batches of 5, three a step."""

    def plain(**changes: Any) -> dict[str, Any]:
        torch.manual_seed(0)
        model = nn.Linear(8, 3)
        dataset = fixed_split(24)
        return {"model": model, "data": tiny_data(train=dataset), "scheduler": None, **changes}

    from functools import partial

    sgd = partial(torch.optim.SGD, lr=0.5)
    train(tmp_path / "whole", tiny_options(batch_size=15), **plain(optimizer=sgd))
    train(
        tmp_path / "parts",
        tiny_options(batch_size=5, gradient_accumulation_steps=3),
        **plain(optimizer=sgd),
    )
    whole, parts = final_state(tmp_path / "whole")[0], final_state(tmp_path / "parts")[0]
    assert torch.allclose(whole["weight"], parts["weight"], atol=1e-6)
    assert not torch.allclose(whole["weight"], torch.zeros(3, 8))


def test_the_journal_holds_what_was_asked_for(tmp_path: Path) -> None:
    options = tiny_options(evaluate_every="5 steps", evaluate_at_start=True, log_every_steps=6)
    result = train(tmp_path, options)
    assert rows(tmp_path, "train") == [6, 12, 18]
    assert rows(tmp_path, "evaluation") == [0, 5, 10, 15, 18]
    assert rows(tmp_path, "test") == [18]
    speed = [r for r in read_journal(tmp_path / "metrics.jsonl") if r.split == "speed"]
    assert all(r.values["samples_per_second"] > 0 for r in speed)
    assert all(0 <= r.values["data_wait_share"] <= 1 for r in speed)
    assert result.step == 18 and result.best_step in (0, 5, 10, 15, 18)


def test_a_finished_run_is_trained_longer(tmp_path: Path) -> None:
    """The schedule goes on where it ended; what was written before stands."""
    train(tmp_path, tiny_options(max_epochs=1))
    before = journal_of(tmp_path)
    result = train(tmp_path, tiny_options(max_epochs=2))
    assert result.step == 12
    assert journal_of(tmp_path)[: len(before)] == before


def test_early_stopping_waits_for_its_warm_up(tmp_path: Path) -> None:
    knobs: dict[str, Any] = {
        "evaluate_every": "1 steps",
        "patience": 2,
        "min_improvement": 1e9,
        "max_epochs": 3,
    }
    early = train(tmp_path / "early", tiny_options(**knobs))
    late = train(tmp_path / "late", tiny_options(patience_warmup="6 steps", **knobs))
    assert early.step == 3
    assert late.step == 7


def test_the_test_split_sees_the_best_weights(tmp_path: Path) -> None:
    options = tiny_options(evaluate_every="1 steps", max_steps=6, best_mode="max")
    same_split = tiny_data(test=fixed_split())
    result = train(tmp_path, options, data=same_split)
    assert result.best_step != result.step, (
        "choose another seed: the best step must not be the last"
    )
    assert result.test["loss"] == pytest.approx(result.score)


def test_best_and_last_checkpoints_are_kept(tmp_path: Path) -> None:
    options = tiny_options(evaluate_every="2 steps")
    result = train(tmp_path, options)
    kept = sorted(int(path.name[5:]) for path in (tmp_path / "checkpoints").iterdir())
    assert result.best_step in kept and 18 in kept
    assert len(kept) <= 3


def test_an_exception_in_a_callback_names_it_and_saves(tmp_path: Path) -> None:
    class Broken(Callback):
        def on_step_end(self, fit: Fit) -> None:
            if fit.progress.step == 2:
                raise ValueError("no luck")

    with pytest.raises(CallbackError, match="callbacks.broken failed in on_step_end.*no luck"):
        train(tmp_path, tiny_options(), callbacks={"broken": Broken()})
    assert (tmp_path / "checkpoints" / "step_00000002").is_dir()
    status = read_status(RunDirectory(tmp_path))
    assert status is not None and status.state == "failed" and "no luck" in (status.error or "")
    assert "ValueError: no luck" in (tmp_path / "logs" / "rank_0.log").read_text()


def test_a_stateful_callback_survives_a_restart(tmp_path: Path) -> None:
    class Counter(Callback):
        def __init__(self) -> None:
            self.count = 0

        def on_step_end(self, fit: Fit) -> None:
            self.count += 1

        def state_dict(self) -> dict[str, Any]:
            return {"count": self.count}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.count = state["count"]

    with pytest.raises(Interrupted):
        train(tmp_path, tiny_options(), callbacks={"counter": Counter(), "stop": StopAt(5)})
    counter = Counter()
    train(tmp_path, tiny_options(), callbacks={"counter": counter})
    assert counter.count == 18


def test_other_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path, tiny_options(), callbacks={"stop": StopAt(5)})
    with pytest.raises(Exception, match="another data"):
        train(tmp_path, tiny_options(), data=tiny_data(evaluation=fixed_split(10)))
    assert (tmp_path / "checkpoints" / "step_00000005").is_dir()


def test_an_empty_split_and_an_unknown_metric_are_told(tmp_path: Path) -> None:
    empty = TensorDataset(torch.zeros(0, 8), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(DataError, match="train split is empty"):
        train(tmp_path / "a", tiny_options(), data=tiny_data(train=empty))
    with pytest.raises(ConfigError, match="did you mean 'evaluation.accuracy'"):
        train(tmp_path / "b", tiny_options(best_metric="evaluation.acuracy"))


def test_a_plateau_scheduler_lowers_the_learning_rate(tmp_path: Path) -> None:
    from functools import partial

    plateau = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, patience=0, threshold=1e9)
    options = tiny_options(schedule_every="evaluation", evaluate_every="2 steps", log_every_steps=1)
    train(tmp_path, options, scheduler=plateau)
    rates = [row[3]["lr"] for row in journal_of(tmp_path) if row[2] == "train"]
    assert rates[0] == 1e-2 and rates[-1] < 1e-4


def test_fp16_and_bf16_train(tmp_path: Path) -> None:
    from dataclasses import replace

    from runner.config.options import PrecisionOptions

    for autocast in ("bf16", "fp16"):
        options = replace(tiny_options(), precision=PrecisionOptions(autocast=autocast))
        result = train(tmp_path / autocast, options)
        assert result.step == 18 and result.score is not None


def test_a_full_disk_is_told_and_training_goes_on(tmp_path: Path) -> None:
    """Real: from step 5 on no file of this process may grow past a few bytes."""
    import resource

    class FullDisk(Callback):
        def __init__(self) -> None:
            self.before = resource.getrlimit(resource.RLIMIT_FSIZE)

        def on_step_end(self, fit: Fit) -> None:
            if fit.progress.step == 5:
                resource.setrlimit(resource.RLIMIT_FSIZE, (64, self.before[1]))
            if fit.progress.step == 11:
                resource.setrlimit(resource.RLIMIT_FSIZE, self.before)

    options = tiny_options(evaluate_every="1 steps", log_every_steps=2)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    disk = FullDisk()
    try:
        result = train(tmp_path, options, callbacks={"disk": disk})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, disk.before)
        signal.signal(signal.SIGXFSZ, before)
    assert result.step == 18
    assert rows(tmp_path, "train") == list(range(2, 19, 2)), "rows waited and were written later"
    assert "checkpoint failed step=6" in (tmp_path / "logs" / "rank_0.log").read_text()


def test_damaged_checkpoints_never_push_out_good_ones(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path, tiny_options(), callbacks={"stop": StopAt(8)})
    newest = tmp_path / "checkpoints" / "step_00000008"
    (newest / "training.pt").write_bytes(b"")
    with pytest.raises(Interrupted):
        train(tmp_path, tiny_options(), callbacks={"stop": StopAt(7)})
    kept = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert {"step_00000006", "step_00000007", "damaged_step_00000008"} <= kept
    assert train(tmp_path, tiny_options()).step == 18


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_an_unfinished_run_that_is_made_longer_keeps_its_schedule(
    tmp_path: Path, schedule: str
) -> None:
    from functools import partial

    from runner.optim.schedules import cosine_with_warmup

    factory = {
        "cosine": cosine_with_warmup,
        "one_cycle": partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1e-2),
    }[schedule]
    options, longer = tiny_options(log_every_steps=1), tiny_options(max_epochs=4, log_every_steps=1)
    train(tmp_path / "straight", options, scheduler=factory)
    with pytest.raises(Interrupted):
        train(tmp_path / "longer", options, scheduler=factory, callbacks={"stop": StopAt(5)})
    train(tmp_path / "longer", longer, scheduler=factory)
    rates = {
        name: [row[3]["lr"] for row in journal_of(tmp_path / name) if row[2] == "train"]
        for name in ("straight", "longer")
    }
    assert rates["longer"][:18] == rates["straight"]
    assert set(rates["longer"][18:]) == {rates["straight"][-1]}


def test_a_model_handed_over_for_evaluation_is_trained(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(8, 3), nn.Dropout(0.5)).eval()
    modes: list[bool] = []

    class Watch(Callback):
        def on_step_end(self, fit: Fit) -> None:
            modes.append(fit.model.training)

    train(tmp_path, tiny_options(), model=model, callbacks={"watch": Watch()})
    assert all(modes)
    assert len(modes) == 18


def test_a_train_metric_may_choose_the_best_step(tmp_path: Path) -> None:
    options = tiny_options(best_metric="train.loss", log_every_steps=6, evaluate_every="6 steps")
    result = train(tmp_path, options)
    assert result.best_step in (6, 12, 18)
    assert (tmp_path / "checkpoints" / f"step_{result.best_step:08d}").is_dir()
    with pytest.raises(ConfigError, match="did you mean 'loss'"):
        train(tmp_path / "typo", tiny_options(best_metric="train.los"))
    with pytest.raises(ConfigError, match="never does in 18 steps"):
        train(tmp_path / "never", tiny_options(best_metric="train.loss", log_every_steps=50))


def test_the_k_best_checkpoints_are_kept(tmp_path: Path) -> None:
    from dataclasses import replace

    from runner.config.options import CheckpointOptions

    options = tiny_options(evaluate_every="1 steps")
    options = replace(options, checkpoint=CheckpointOptions(keep_last=1, keep_best=3))
    train(tmp_path, options)
    losses = sorted(
        (row[3]["loss"], row[0]) for row in journal_of(tmp_path) if row[2] == "evaluation"
    )
    kept = {int(path.name[5:]) for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {step for _, step in losses[:3]} | {18}


def test_a_callback_that_fails_at_the_end_does_not_hide_an_interruption(tmp_path: Path) -> None:
    ended: list[str] = []

    class Broken(Callback):
        def on_fit_end(self, fit: Fit, outcome: str) -> None:
            raise ValueError("no luck")

    class Watch(Callback):
        def on_fit_end(self, fit: Fit, outcome: str) -> None:
            ended.append(outcome)

    callbacks = {"stop": StopAt(5), "broken": Broken(), "watch": Watch()}
    with pytest.raises(Interrupted):
        train(tmp_path, tiny_options(), callbacks=callbacks)
    assert ended == ["preempted"]
    with pytest.raises(CallbackError, match="callbacks.broken failed in on_fit_end"):
        train(tmp_path, tiny_options(), callbacks={"broken": Broken(), "watch": Watch()})
    assert ended == ["preempted", "completed"]


def test_callbacks_may_come_and_go_between_jobs(tmp_path: Path) -> None:
    class Counter(Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"count": 1}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            assert state == {"count": 1}

    callbacks = {"stop": StopAt(5), "counter": Counter()}
    with pytest.raises(Interrupted):
        train(tmp_path, tiny_options(), callbacks=callbacks)
    assert train(tmp_path, tiny_options(), callbacks={"other": Counter()}).step == 18

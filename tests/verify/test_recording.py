from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from runner.config.options import TrainerOptions
from runner.run.directory import RunDirectory
from runner.tasks.classification import Classification
from runner.tasks.task import StepOutput, has_own_epoch, has_step, is_alternating
from runner.training.callback import Fit
from runner.training.progress import Progress
from runner.verify.recording import (
    UNSAVED,
    RecordedTask,
    RecordSteps,
    RecordUpdate,
    digest,
    recorded,
    weights_of,
)
from runner.verify.trace import _named, has_line, read_traces


def test_a_digest_sees_every_bit_type_and_shape() -> None:
    values = torch.arange(6.0)
    near = values.clone()
    near[3] = torch.nextafter(near[3], torch.tensor(9.0))
    several = [
        values,
        near,
        values.reshape(2, 3),
        values.double(),
        values.bfloat16(),
        values.numpy(),
        [values],
        {"a": values},
        {"b": values},
        values.tolist(),
        3,
        3.0,
        "3",
        True,
        None,
        torch.tensor(3),
        torch.tensor(True),
        torch.empty(0),
    ]
    assert len({digest(value) for value in several}) == len(several)
    assert digest({"a": [values.t(), np.float32(1)]}) == digest({"a": [values.t(), np.float32(1)]})
    assert digest(torch.tensor(float("nan"))) == digest(torch.tensor(float("nan")))
    assert digest(values.reshape(2, 3).t()) == digest(values.reshape(2, 3).t().contiguous())


def test_of_unknown_things_only_the_type_counts() -> None:
    assert digest(object()) == digest(object())
    assert digest(object()) != digest(nn.Identity())


def test_a_recorded_task_is_the_task_and_sees_each_batch() -> None:
    task = recorded("runner.tasks.classification.Classification", num_classes=3)
    assert isinstance(task, Classification)
    assert task.class_names == ["0", "1", "2"]
    model = nn.Linear(2, 3)
    batches = [
        task.prepare((torch.ones(4, 2) * n, torch.zeros(4, dtype=torch.long))) for n in (1, 2)
    ]
    for batch in batches:
        task.training_step(model, batch)
    task.evaluation_step(
        model, task.prepare((torch.ones(4, 2), torch.zeros(4).long())), task.metrics()
    )
    first, second = RecordedTask.take_seen(task)
    assert first["samples"] == first["batch"] == digest(batches[0])
    assert second["batch"] == digest(batches[1])
    assert RecordedTask.take_seen(task) == []


def test_buffers_that_are_not_saved_are_marked() -> None:
    model = nn.Linear(1, 1)
    model.register_buffer("calls", torch.zeros(()), persistent=False)
    assert list(weights_of(model)) == ["weight", "bias", f"calls{UNSAVED}"]


def test_the_lines_of_a_run_are_read_back_and_a_torn_one_is_left_out(tmp_path: Path) -> None:
    fit = Fit(
        directory=RunDirectory(tmp_path / "run"),
        model=nn.Linear(1, 1),
        task=recorded("runner.tasks.classification.Classification", num_classes=3),
        options=TrainerOptions(),
        progress=Progress(step=0),
        planned_steps=2,
    )
    (tmp_path / "run/checkpoints/step_00000001").mkdir(parents=True)
    (tmp_path / "run/checkpoints/step_00000001/manifest.json").write_text("{}")
    records = tmp_path / "records"
    before, behind = RecordUpdate(), RecordSteps(str(records))
    behind.on_fit_start(fit)
    for step in (1, 2):
        fit.progress.step = step
        before.on_step_end(fit)
        behind.on_step_end(fit)
    with (records / "rank_0.jsonl").open("a") as file:
        file.write('{"kind": "kill"')
    assert not has_line(records, "kill")
    (trace,) = read_traces(records, fit.directory)
    assert [start.step for start in trace.starts] == [0]
    assert list(trace.steps) == [1, 2]
    assert trace.steps[2].updated == trace.steps[2].weights == weights_of(fit.model)


class Turning(Classification):
    def alternating_step(self, model: Any, batch: Any, update: Any) -> StepOutput:
        update["one"](torch.tensor(1.0))
        return StepOutput(torch.tensor(2.5), 1)


class OwnEpoch(Classification):
    def training_epoch(self, model: Any, batches: Any, update: Any) -> Any:
        for batch in batches:
            update["optimizer"](batch["input"].sum(), 3.0)
        return {}


def test_updates_in_turns_are_recorded() -> None:
    task = RecordedTask(Turning(num_classes=2))
    assert is_alternating(task) and not has_step(task) and not has_own_epoch(task)
    batch = task.prepare((torch.ones(2, 4), torch.zeros(2).long()))
    updated = []
    task.alternating_step(None, batch, {"one": updated.append})
    (seen,) = task.take_seen()
    assert updated == [1.0]
    assert (seen["samples"], seen["batch"]) == (digest(batch), digest(batch))
    assert float.fromhex(seen["loss"]) == 2.5


def test_every_batch_of_an_own_epoch_is_recorded() -> None:
    task = RecordedTask(OwnEpoch(num_classes=2))
    assert has_own_epoch(task)
    batches = [task.prepare((torch.full((1, 2), n), torch.zeros(1))) for n in (1.0, 2.0)]
    updated: list[Any] = []
    task.training_epoch(None, iter(batches), {"optimizer": lambda *given: updated.append(given)})
    seen = task.take_seen()
    assert updated == [(2.0, 3.0), (4.0, 3.0)]
    assert [float.fromhex(one["loss"]) for one in seen] == [2.0, 4.0]
    assert [one["samples"] for one in seen] == [digest(batch) for batch in batches]


def test_the_state_of_several_optimizers_is_named_by_part() -> None:
    names = ["first.weight", "first.bias", "second.weight"]
    assert _named("optimizer", "state.1.exp_avg", names) == "state.1.exp_avg (of first.bias)"
    path = "second.state.0.exp_avg"
    assert _named("optimizer", path, names) == f"{path} (of second.weight)"
    assert _named("optimizer", "first.param_groups.0.lr", names) == "first.param_groups.0.lr"

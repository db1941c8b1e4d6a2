from pathlib import Path

import numpy as np
import torch
from torch import nn

from runner.config.options import TrainerOptions
from runner.run.directory import RunDirectory
from runner.tasks.classification import Classification
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
from runner.verify.trace import has_line, read_traces


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

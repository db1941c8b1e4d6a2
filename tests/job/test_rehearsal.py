"""A rehearsal finds, in one step, what a run would fail of, and touches nothing."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import open_dict
from torch import nn

from runner.config.compose import compose
from runner.config.run_config import RunConfig
from runner.config.validate import validate
from runner.data.data import Data
from runner.job.rehearsal import rehearse
from runner.sweeps.checks.findings import Findings
from runner.tasks.adversarial import Adversarial
from runner.tasks.classification import Classification
from runner.tasks.task import StepOutput
from runner.training.callback import Callback

HERE = "tests.job.test_rehearsal"


class Good(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(64, num_classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layer(inputs.flatten(1))


class WrongShape(Good):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layer(inputs.flatten(1)[:, :60])


class OnlyTrains(Good):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self.training:
            raise KeyError("evaluating")
        return super().forward(inputs)


class NoGradient(Good):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs).detach()


class NotANumber(Good):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs) * float("nan")


class WithoutWords(Good):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        raise AssertionError


class Leaves(Good):
    def __init__(self, num_classes: int) -> None:
        raise SystemExit(7)


class Odd(torch.optim.SGD):
    def step(self, closure: object = None) -> None:
        raise IndexError("no such group")


class NoCount(Classification):
    def training_step(self, model: nn.Module, batch: object) -> StepOutput:
        output = super().training_step(model, batch)  # type: ignore[arg-type]
        return StepOutput(output.loss, "many")  # type: ignore[arg-type]


class BadJudge(Adversarial):
    def alternating_step(self, model: Any, batch: Any, update: Any) -> StepOutput:
        output = super().alternating_step(model, batch, update)
        return StepOutput(output.loss / model["generator"].rate, output.num_targets)


class OwnEpoch(Classification):
    read: list[int] = []  # noqa: RUF012

    def training_epoch(self, model: nn.Module, batches: Any, update: Any) -> Any:
        for batch in batches:
            OwnEpoch.read.append(len(batch["target"]))
            loss = self.training_step(model, batch).loss
            update["optimizer"](loss)
        return {"loss": loss}


class BadEpoch(OwnEpoch):
    def training_epoch(self, model: nn.Module, batches: Any, update: Any) -> Any:
        for batch in batches:
            update["adam"](self.training_step(model, batch).loss)


class Points:
    deterministic = True

    def __init__(self) -> None:
        self.make = lambda index: (torch.zeros(1, 8, 8), index % 10)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.make(index)


class UnreadableTest(Points):
    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        raise OSError("picture 17 is torn")


class Flow:
    """A stream of points, of which the number is not known before."""

    deterministic = True

    def __init__(self) -> None:
        self.position = 0

    def __iter__(self) -> Iterator[tuple[torch.Tensor, int]]:
        while self.position < 9:
            self.position += 1
            yield torch.zeros(1, 8, 8), self.position
        self.position = 0

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position = state["position"]


def flow() -> Data:
    return Data(train=Flow(), evaluation=Flow())


def points() -> Data:
    return Data(train=Points(), evaluation=Points())


def unreadable_test() -> Data:
    return Data(train=Points(), evaluation=Points(), test=UnreadableTest())


def with_test() -> Data:
    return Data(train=Points(), evaluation=Points(), test=Points())


class Spy(Callback):
    told: list[str] = []  # noqa: RUF012

    def on_fit_start(self, fit: object) -> None:
        self.told.append("on_fit_start")


def config(*overrides: str, model: str | None = "Good", data: str | None = None) -> RunConfig:
    """Return the config of a tiny run on a model (and data) of this file."""
    cfg = compose(["hardware=cpu", "callbacks=none", *overrides])
    cfg.hardware.threads = torch.get_num_threads()
    with open_dict(cfg):
        if model is not None:
            cfg.model = {"_target_": f"{HERE}.{model}", "num_classes": 10}
        if data is not None:
            cfg.data = {"_target_": f"{HERE}.{data}", "batch_size": 4, "num_workers": 0}
    return validate(cfg)


def problems(*overrides: str, model: str = "Good", data: str | None = None) -> list[str]:
    (found,) = rehearse([config(*overrides, model=model, data=data)])
    return list(found.problems)


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.iterdir())


def test_a_good_run_has_no_problem_and_its_facts_are_told() -> None:
    stages: list[str] = []
    (found,) = rehearse([config("trainer.max_steps=40")], tell=stages.append, is_timed=True)
    assert (found.problems, found.warnings) == ([], [])
    assert found.facts["parameters"] == 650
    assert found.facts["planned_steps"] == 40
    assert found.facts["batch"] == "input 64x1x8x8, target 64"
    assert 0 < found.facts["seconds_per_step"] < 5
    assert stages[:2] == ["building data and model", "building optimizer and scheduler"]
    assert {"the forward pass", "the backward pass", "the optimizer's step"} <= set(stages)
    assert "the evaluation of a batch" in stages


def gan(*overrides: str) -> Findings:
    parts = ["task=adversarial", "model=gan", "optimizer=gan", "trainer.max_steps=9"]
    (found,) = rehearse([config(*parts, *overrides, model=None)])
    return found


def test_several_optimizers_are_rehearsed() -> None:
    found = gan("trainer.best_metric=evaluation.frechet_distance")
    assert (found.problems, found.facts["planned_steps"]) == ([], 9)
    assert found.facts["batch"] == "input 64x1x8x8"
    (sentence,) = gan(f"task._target_={HERE}.BadJudge").problems
    assert sentence.startswith("the alternating step failed: AttributeError")
    assert "(batch: input 64x1x8x8" in sentence
    (sentence,) = gan("optimizer.generator.lr=-1").problems
    assert "optimizer.generator: torch.optim.Adam cannot be built: Invalid learn" in sentence


def test_of_an_own_epoch_two_batches_are_tried() -> None:
    OwnEpoch.read.clear()
    (found,) = rehearse([config(f"task._target_={HERE}.OwnEpoch", "trainer.max_epochs=7")])
    assert (found.problems, found.facts["planned_steps"]) == ([], 7)
    assert OwnEpoch.read == [64, 64]
    (sentence,) = problems(f"task._target_={HERE}.BadEpoch")
    assert sentence.startswith("update['adam']: there is no optimizer of that name")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("WrongShape", "the forward pass failed: RuntimeError: mat1 and mat2 shapes cannot be"),
        ("OnlyTrains", "the evaluation of a batch failed: KeyError: 'evaluating'"),
        ("NoGradient", "the backward pass failed: RuntimeError: element 0 of tensors"),
        ("NotANumber", "the loss is no number between step 0 and step 1: lower optimizer.lr"),
        ("WithoutWords", "the forward pass failed: AssertionError, at tests/job/test_rehearsal.py"),
        ("Leaves", "building data and model failed: SystemExit: 7, at tests/job/test_reh"),
    ],
)
def test_what_a_model_fails_of_is_told_once(model: str, said: str) -> None:
    (sentence,) = problems(model=model)
    assert sentence.startswith(said)


def test_the_line_and_the_shapes_are_told() -> None:
    (sentence,) = problems(model="WrongShape")
    line = WrongShape.forward.__code__.co_firstlineno + 1
    assert f"at tests/job/test_rehearsal.py:{line} (batch: input 64x1x8x8, targ" in sentence


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["trainer.best_metric=train.acuracy"], "trainer.best_metric=train.acuracy is not measure"),
        (["trainer.best_metric=evaluation.acuracy"], "did you mean 'evaluation.accuracy'?"),
        (["optimizer.lr=-1"], "Invalid learning rate: -1"),
        (["optimizer=sgd", f"optimizer._target_={HERE}.Odd"], "the optimizer's step failed: Index"),
        (
            [f"task._target_={HERE}.NoCount", "trainer.gradient_accumulation_steps=9"],
            "the backward pass failed: ",
        ),
        (["hardware.device=cuda:7"], "hardware.device=cuda:7: this machine has"),
        (
            ["hardware.num_processes=3", "data.batch_size=9", "hardware.device=mps"],
            "hardware.device=mps is one device",
        ),
    ],
)
def test_a_wrong_config_is_told(overrides: list[str], said: str) -> None:
    (sentence,) = problems(*overrides)
    assert said in sentence


def test_a_loss_that_is_no_number_is_no_mistake_where_it_is_skipped() -> None:
    assert problems("trainer.on_nonfinite=skip", model="NotANumber") == []


def test_a_test_split_that_cannot_be_read_is_found() -> None:
    (sentence,) = problems(data="unreadable_test")
    assert sentence.startswith("loading a batch of the test split failed: OSError: picture 17 is")
    assert problems("trainer.test_at_end=false", data="unreadable_test") == []


def test_nothing_is_saved_on_the_way(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    saved: list[Path] = []
    tried = [config(data="with_test")]
    (found,) = rehearse(
        tried, tell=lambda _: saved.extend(scratch.rglob("step_*")), scratch=scratch
    )
    assert (found.problems, saved) == ([], [])
    scratch.rmdir()  # empty


def test_data_that_cannot_reach_their_workers_are_found_without_any() -> None:
    assert problems("data.num_workers=2") == []  # digits can
    wrong = config(data="points")
    assert rehearse([wrong])[0].problems == []
    (sentence,) = rehearse([replace(wrong, loader=replace(wrong.loader, num_workers=2))])[
        0
    ].problems
    assert "cannot be handed to worker processes" in sentence and "Points.__init__" in sentence


@pytest.mark.parametrize(
    "overrides",
    [
        ["precision=bf16", "trainer.max_grad_norm=1", "trainer.ema_decay=0.9"],
        ["precision=fp16", "trainer.gradient_accumulation_steps=3"],
        ["scheduler=plateau", "trainer.on_nonfinite=skip"],
        ["scheduler=cosine", "trainer.schedule_every=epoch", "trainer.on_out_of_memory=split"],
        ["trainer.best_metric=train.loss", "trainer.log_every_steps=7"],
        ["trainer.max_epochs=null", "trainer.max_duration=3 hours", "scheduler=constant"],
        ["trainer.patience=2", "trainer.patience_warmup=1 epochs"],
        ["debug.fast_dev_run=true"],
        ["debug.overfit_batches=1"],
        [
            "trainer.evaluate_every=null",
            "trainer.evaluate_at_end=false",
            "trainer.deterministic=true",
            "trainer.best_metric=train.loss",
        ],
    ],
)
def test_what_can_be_trained_has_no_problem(overrides: list[str]) -> None:
    try:
        assert problems(*overrides) == []
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_stream_is_tried_and_its_length_is_left_open() -> None:
    stream = config(data="flow")
    workers = replace(stream, loader=replace(stream.loader, num_workers=2))
    for each in (stream, workers):
        (found,) = rehearse([each])
        assert found.problems == []
        assert found.facts["planned_steps"] is None
        assert found.facts["batch"] == "input 4x1x8x8, target 4"


def test_several_ranks_are_tried_as_one_with_its_share() -> None:
    (found,) = rehearse([config("hardware.num_processes=2", "trainer.max_epochs=1")])
    assert found.problems == []
    assert found.facts["batch"] == "input 32x1x8x8, target 32"
    assert found.facts["planned_steps"] == 23  # as many as on one: the batch is that of all
    assert "what ranks do together is not covered" in found.warnings[0]


def test_callbacks_are_built_and_told_nothing() -> None:
    Spy.told.clear()
    spy = f"+callbacks.spy={{_target_: {HERE}.Spy}}"
    assert problems(spy) == []
    assert Spy.told == []
    (sentence,) = problems(f"+callbacks.spy={{_target_: {HERE}.Leaves, num_classes: 1}}")
    assert "SystemExit" in sentence


def test_variants_are_planned_each_and_one_is_tried() -> None:
    variants = [f"optimizer.lr={lr}" for lr in (-1, 0.1, 0.2, -2)]
    stages: list[str] = []
    found = rehearse([config(lr) for lr in variants], tell=stages.append)
    assert [len(each.problems) for each in found] == [1, 0, 0, 1]
    assert "-2" in found[3].problems[0]
    assert stages.count("the optimizer's step") == 1
    broken = rehearse([config(lr, model="WrongShape") for lr in variants])
    assert [each.problems[0][:12] for each in broken] == [
        "optimizer: t",
        "the forward ",
        "the forward ",
        "optimizer: t",
    ]


def test_the_traceback_is_told_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    (text,) = problems(model="WrongShape")
    assert text.splitlines()[1] == "Traceback (most recent call last):"


def test_first_weights_that_are_not_there_are_told() -> None:
    (findings,) = rehearse([config("init_weights_from=absent.pt")])
    assert findings.problems == ["init_weights_from=absent.pt: there is no such file or folder"]


def test_parameters_that_the_model_does_not_have_are_told() -> None:
    (frozen,) = rehearse([config("parameters.freeze=[layers.9]")])
    assert "parameters.freeze: no parameter or module" in frozen.problems[0]
    (factors,) = rehearse([config("parameters.lr_factors={lyers.*: 3}")])
    assert "parameters.lr_factors: no parameter or module" in factors.problems[0]

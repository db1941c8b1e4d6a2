"""Several optimizers that take turns: exact after a resume, the same on two ranks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from runner import Trainer
from runner.errors import ConfigError, Interrupted, RunError
from runner.tasks.task import StepOutput
from tests.training import alternations
from tests.training.alternations import (
    Turns,
    options,
    turns,
    two_optimizers,
    two_parts,
)
from tests.training.harness import (
    StopAt,
    final_state,
    fixed_split,
    journal_of,
    same,
    tiny_data,
    tiny_parts,
    train,
)


@pytest.mark.parametrize("autocast", [None, "bf16"])
def test_a_resumed_run_is_the_straight_one(tmp_path: Path, autocast: str | None) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    train(straight, options(autocast), **turns())
    with pytest.raises(Interrupted):
        train(resumed, options(autocast), **turns(callbacks={"stop": StopAt(8)}))
    train(resumed, options(autocast), **turns())
    assert same(final_state(straight), final_state(resumed))
    assert journal_of(straight) == journal_of(resumed)


def test_each_optimizer_has_its_state_and_its_learning_rate(tmp_path: Path) -> None:
    train(tmp_path, options(), **turns())
    state = final_state(tmp_path)[1]
    assert set(state["optimizer"]) == set(state["schedule"]) == {"first", "second"}
    assert len(state["optimizer"]["second"]["state"]) == 2
    rows = [values for _, _, split, values in journal_of(tmp_path) if split == "train"]
    assert rows[-1]["lr.second"] == 0.1
    assert rows[0]["lr.first"] != rows[-1]["lr.first"]
    assert {"loss", "size", "grad_norm.first", "grad_norm.second"} < set(rows[0])


@pytest.mark.parametrize("autocast", [None, "bf16"])
def test_the_updates_are_those_of_a_plain_loop(tmp_path: Path, autocast: str | None) -> None:
    """A forward pass sees what the update before it has done, under autocast too."""
    data = tiny_data(train=fixed_split(8), evaluation=None, test=None)
    plain = options(autocast, max_steps=2, max_epochs=None, ema_decay=None)
    how = turns(model=two_parts(nn.Identity()), data=data, scheduler=None)
    train(tmp_path, plain, **how)
    parts = tiny_parts(plain, **{**how, "model": two_parts(nn.Identity())})
    assert isinstance(parts.model, nn.ModuleDict)
    model, given = parts.model, two_optimizers()
    optimizers = {name: given[name](model[name].parameters()) for name in given}
    first, second = model["first"], model["second"]
    for micro in parts.loaders["train"].epoch(0).take(2):
        for name, both in (("second", False), ("second", False), ("first", True)):
            inputs, target = micro.content
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast is not None):
                hidden = first(inputs) if both else first(inputs).detach()
                loss = functional.cross_entropy(second(hidden), target)
            optimizers[name].zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model[name].parameters(), 1.0)
            optimizers[name].step()
    assert same(final_state(tmp_path)[0], model.state_dict())


def test_a_loss_leaves_other_parts_alone(tmp_path: Path) -> None:
    seen = []

    class Watched(Turns):
        def alternating_step(self, model: Any, batch: Any, update: Any) -> StepOutput:
            hidden = model["first"](batch["input"])
            loss = functional.cross_entropy(model["second"](hidden), batch["target"])
            before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            update["first"](loss)
            after = model.state_dict()
            seen.append({name for name in before if not torch.equal(before[name], after[name])})
            assert all(parameter.grad is None for parameter in model.parameters())
            return StepOutput(loss, len(hidden))

    train(tmp_path, options(max_steps=1), **turns(task=Watched(num_classes=3)))
    assert seen == [{"first.0.weight", "first.0.bias"}]


def test_a_loss_without_the_parameters_is_one_sentence(tmp_path: Path) -> None:
    class Detached(Turns):
        def alternating_step(self, model: Any, batch: Any, update: Any) -> StepOutput:
            loss = model["second"](model["first"](batch["input"]).detach()).sum()
            update["first"](loss)
            return StepOutput(loss, 1)

    with pytest.raises(RunError, match=r"update\['first'\] was given a loss that depends on none"):
        train(tmp_path, options(), **turns(task=Detached(num_classes=3)))


def test_a_task_may_freeze_parameters_and_log_plain_numbers(tmp_path: Path) -> None:
    class Freezing(Turns):
        def alternating_step(self, model: Any, batch: Any, update: Any) -> StepOutput:
            model["first"][0].bias.requires_grad_(False)
            output = super().alternating_step(model, batch, update)
            values: dict[str, Any] = {"plain": 0.5}
            return StepOutput(output.loss, output.num_targets, values)

    assert train(tmp_path, options(max_steps=2), **turns(task=Freezing(num_classes=3))).step == 2


def test_a_rollback_brings_all_optimizers_back(tmp_path: Path) -> None:
    class Exploding(Turns):
        def alternating_step(self, model: Any, batch: Any, update: Any) -> StepOutput:
            output = super().alternating_step(model, batch, update)
            self.steps = getattr(self, "steps", 0) + 1
            return StepOutput(output.loss / float(self.steps != 7), 1)

    from dataclasses import replace

    how = options(on_nonfinite="rollback", log_every_steps=1)
    how = replace(how, checkpoint=replace(how.checkpoint, every="2 steps", keep_last=9))
    train(tmp_path, how, **turns(task=Exploding(num_classes=3)))
    assert "going on with the weights of step 6" in (tmp_path / "logs" / "rank_0.log").read_text()


def single(**changes: Any) -> dict[str, Any]:
    return {"task": Turns(num_classes=3), "scheduler": None, **changes}


@pytest.mark.parametrize(
    ("pieces", "how", "sentence"),
    [
        (single(), {}, "Turns alternates several optimizers and there is a single one"),
        (turns(task=alternations.Classification(num_classes=3)), {}, "has no alternating_step"),
        (turns(model=nn.Linear(8, 3)), {}, "a torch.nn.ModuleDict with a part for each"),
        (
            turns(optimizer={"frist": two_optimizers()["first"]}),
            {},
            "optimizer.frist: the model has no part 'frist', it has first, second"
            " - did you mean 'first'",
        ),
        (
            turns(optimizer={"first": two_optimizers()["first"]}),
            {},
            "its part 'second' has parameters to train and no optimizer",
        ),
        (turns(scheduler={"fist": None}), {}, "there is no optimizer 'fist'"),
        (turns(), {"gradient_accumulation_steps": 2}, "does not go with Turns"),
        (turns(), {"on_nonfinite": "skip"}, "on_nonfinite=skip does not go with Turns"),
        (turns(), {"on_out_of_memory": "split"}, "on_out_of_memory=split does not go with Turns"),
        (turns(task=object()), {}, "none of training_step, alternating_step and training_epoch"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    pieces: dict[str, Any], how: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        tiny_parts(options(**how), **pieces)
    assert sentence in raised.value.problems[0]


def test_the_python_trainer_takes_several_optimizers(tmp_path: Path) -> None:
    model = two_parts()
    second = torch.optim.SGD(model["second"].parameters(), lr=0.25)
    trainer = Trainer(
        model=model,
        task=Turns(num_classes=3),
        data=tiny_data(),
        optimizer={"first": two_optimizers()["first"], "second": second},
        options=options(),
        callbacks={},
        trackers={},
        directory=tmp_path / "run",
    )
    assert trainer.fit().step == 18
    rows = [values for *_, split, values in journal_of(tmp_path / "run") if split == "train"]
    assert (rows[0]["lr.first"], rows[0]["lr.second"]) == (0.01, 0.25)


def test_norms_are_logged_without_clipping_too(tmp_path: Path) -> None:
    plain = {"max_grad_norm": None, "max_steps": 2, "log_every_steps": 1}
    for name, more in (("off", {}), ("on", {"log_grad_norm": True})):
        train(tmp_path / name, options(**plain, **more), **turns())
    off, on = (journal_of(tmp_path / name)[0][3] for name in ("off", "on"))
    assert on.keys() - off.keys() == {"grad_norm.first", "grad_norm.second"}
    assert same(final_state(tmp_path / "off")[0], final_state(tmp_path / "on")[0])

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR

from runner.config.locate import shipped_conf
from runner.config.options import Options, ParameterOptions, TrainerOptions
from runner.errors import ConfigError
from runner.facade.optimizers import read_optimizer, read_scheduler, with_cadence
from runner.optim.groups import optimizer_of
from runner.optim.optimization import build_schedule


def parameters() -> list[nn.Parameter]:
    return list(nn.Linear(2, 2).parameters())


@pytest.mark.parametrize(
    ("given", "kind", "lr"),
    [
        (None, torch.optim.AdamW, 1e-3),
        ("AdamW", torch.optim.AdamW, 1e-3),
        ("adamw", torch.optim.AdamW, 1e-3),
        ({"lr": 0.5}, torch.optim.AdamW, 0.5),
        ("sgd", torch.optim.SGD, 0.1),
        ("SGD", torch.optim.SGD, 1e-3),
        ("rmsprop", torch.optim.RMSprop, 1e-3),
        ("rms_prop", torch.optim.RMSprop, 1e-2),
        ({"name": "sgd", "lr": 0.5}, torch.optim.SGD, 0.5),
        ({"_target_": "torch.optim.Adam", "lr": 0.25}, torch.optim.Adam, 0.25),
        (partial(torch.optim.SGD, lr=0.125), torch.optim.SGD, 0.125),
        (torch.optim.NAdam, torch.optim.NAdam, 2e-3),
    ],
)
def test_an_optimizer_is_made_of_what_there_is(given: Any, kind: type, lr: float) -> None:
    made = read_optimizer(given)(parameters())
    assert type(made) is kind
    assert made.defaults["lr"] == lr


def test_an_optimizer_that_is_made_is_taken_as_it_is() -> None:
    made = torch.optim.SGD(parameters(), lr=0.1)
    assert read_optimizer(made) is made


def test_several_optimizers_keep_their_names() -> None:
    several = read_optimizer({"generator": "adam", "critic": {"name": "sgd", "lr": 0.5}})
    assert type(several["generator"](parameters())) is torch.optim.Adam
    assert several["critic"](parameters()).defaults["lr"] == 0.5


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"name": "StepLR", "step_size": 3}, StepLR),
        ({"name": "step", "step_size": 3}, StepLR),
        ("step", StepLR),
        ("plateau", ReduceLROnPlateau),
        (partial(StepLR, step_size=3), StepLR),
    ],
)
def test_a_scheduler_is_made_of_what_there_is(given: Any, kind: type) -> None:
    assert type(read_scheduler(given)(torch.optim.SGD(parameters(), lr=0.1))) is kind


@pytest.mark.parametrize(("given", "kind"), [("one_cycle", OneCycleLR), ("cosine", LambdaLR)])
def test_a_schedule_is_told_its_length(given: Any, kind: type) -> None:
    schedule = read_scheduler(given)
    made = build_schedule(schedule, torch.optim.SGD(parameters(), lr=0.1), total_steps=7)
    assert type(made._scheduler) is kind


@pytest.mark.parametrize(
    "given", ["one_cycle", "OneCycleLR", {"name": "cyclic", "step_size_up": 3}]
)
def test_a_cycle_rises_to_the_learning_rate_of_each_group(given: Any) -> None:
    model, factors = nn.Linear(2, 2), ParameterOptions(lr_factors={"bias": 0.1})
    optimizer = optimizer_of(partial(torch.optim.SGD, lr=0.1, momentum=0.9), model, factors)
    schedule = build_schedule(read_scheduler(given), optimizer, total_steps=10)
    rates = []
    for _ in range(9):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert [max(of) for of in zip(*rates, strict=True)] == pytest.approx([0.1, 0.01])


def test_a_member_has_the_arguments_of_its_file_and_a_class_those_of_torch() -> None:
    momentum = {name: read_optimizer(name)(parameters()).defaults for name in ("sgd", "SGD")}
    assert (momentum["sgd"]["momentum"], momentum["SGD"]["momentum"]) == (0.9, 0)
    optimizer = torch.optim.SGD(parameters(), lr=0.1)
    assert read_scheduler({"name": "step", "gamma": 0.5})(optimizer).step_size == 10
    assert read_scheduler("plateau")(optimizer).patience == 5


@pytest.mark.parametrize(
    ("scheduler", "every"),
    [
        ("step", "epoch"),
        ({"name": "plateau", "patience": 1}, "evaluation"),
        ({"a": "exponential", "b": None, "c": "cosine"}, "epoch"),
        ("StepLR", "step"),
        (partial(StepLR, step_size=3), "step"),
        (None, "step"),
    ],
)
def test_a_member_goes_on_as_often_as_its_file_says(scheduler: Any, every: str) -> None:
    assert with_cadence(Options(), scheduler, ()).trainer.schedule_every == every


def test_how_often_a_schedule_goes_on_can_be_said() -> None:
    assert with_cadence(Options(), "step", {"trainer.schedule_every"}) == Options()
    said = Options(trainer=TrainerOptions(schedule_every="epoch"))
    assert with_cadence(said, "plateau", ()) == said
    with pytest.raises(ConfigError, match="every epoch and another every evaluation: say which"):
        with_cadence(Options(), {"a": "plateau", "b": "step"}, ())


def test_a_plateau_follows_the_score_in_its_direction() -> None:
    optimizer = torch.optim.SGD(parameters(), lr=0.1)
    assert read_scheduler("plateau", best_mode="max")(optimizer).mode == "max"
    given = {"name": "plateau", "mode": "min"}
    assert read_scheduler(given, best_mode="max")(optimizer).mode == "min"


def test_every_member_of_the_config_groups_is_known_by_name() -> None:
    for group, read in (("optimizer", read_optimizer), ("scheduler", read_scheduler)):
        for file in (shipped_conf() / group).glob("*.yaml"):
            if file.stem not in ("constant", "gan"):  # none, and two
                assert callable(read(file.stem))


@pytest.mark.parametrize("given", [None, "constant"])
def test_no_schedule(given: Any) -> None:
    assert read_scheduler(given) is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("adamv", "optimizer: there is none called 'adamv'.*'adam"),
        ({"name": "adamw", "lrr": 1}, "optimizer.lrr: torch.optim.AdamW has no parameter 'lrr'"),
        ({"name": "adamw", "lr": "high"}, "optimizer.lr must be .*got 'high'"),
        ({"lrr": 1e-3}, "optimizer.lrr: torch.optim.AdamW has no parameter 'lrr'"),
        ({"first": {"lr": 1}}, "optimizer.first has no `name`"),
        ({}, "an empty mapping names nothing"),
        (3, "optimizer must be a name .*got 3"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(given: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read_optimizer(given)


def test_a_scheduler_that_is_made_is_refused_with_a_reason() -> None:
    made = StepLR(torch.optim.SGD(parameters(), lr=0.1), step_size=2)
    with pytest.raises(ConfigError, match="holds an optimizer of its own"):
        read_scheduler(made)

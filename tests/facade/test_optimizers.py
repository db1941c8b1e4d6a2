from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR

from runner.config.locate import shipped_conf
from runner.errors import ConfigError
from runner.facade.optimizers import read_optimizer, read_scheduler


def parameters() -> list[nn.Parameter]:
    return list(nn.Linear(2, 2).parameters())


@pytest.mark.parametrize(
    ("given", "kind", "lr"),
    [
        (None, torch.optim.AdamW, 1e-3),
        ("AdamW", torch.optim.AdamW, 1e-3),
        ("adamw", torch.optim.AdamW, 1e-3),
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
        ("plateau", ReduceLROnPlateau),
        (partial(StepLR, step_size=3), StepLR),
    ],
)
def test_a_scheduler_is_made_of_what_there_is(given: Any, kind: type) -> None:
    assert type(read_scheduler(given)(torch.optim.SGD(parameters(), lr=0.1))) is kind


@pytest.mark.parametrize(("given", "kind"), [("one_cycle", OneCycleLR), ("cosine", LambdaLR)])
def test_a_schedule_is_told_its_length(given: Any, kind: type) -> None:
    made = read_scheduler(given)(torch.optim.SGD(parameters(), lr=0.1), total_steps=7)
    assert type(made) is kind


def test_one_cycle_rises_to_the_learning_rate_of_the_optimizer() -> None:
    optimizer = torch.optim.SGD(parameters(), lr=0.1, momentum=0.9)
    schedule = read_scheduler("one_cycle")(optimizer, total_steps=10)
    rates = []
    for _ in range(9):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert max(rates) == pytest.approx(0.1)


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
        ({"lr": 1e-3}, "optimizer.lr must be a name"),
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

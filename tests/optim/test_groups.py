"""Parameters that are frozen, learn faster or slower, or do not decay."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, StepLR

from runner.config.compose import compose
from runner.config.frozen import freeze as frozen
from runner.config.layout import differing_keys
from runner.config.options import Options, ParameterOptions
from runner.errors import ConfigError, Interrupted
from runner.optim.freezing import freeze
from runner.optim.groups import optimizer_of
from runner.optim.optimization import build_schedule
from tests.training.harness import (
    StopAt,
    final_state,
    journal_of,
    same,
    tiny_options,
    tiny_parts,
    train,
)


class Net(nn.Module):
    """An embedding, three blocks with a norm, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 4)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)) for _ in range(3)
        )
        self.head = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.embed(inputs)
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(hidden)


def groups_of(lr: float = 0.1, **options: Any) -> dict[str, dict[str, Any]]:
    model = Net()
    optimizer = optimizer_of(
        partial(AdamW, lr=lr, weight_decay=0.5), model, ParameterOptions(**options)
    )
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        group["name"]: {**group, "params": [names[p] for p in group["params"]]}
        for group in optimizer.param_groups
    }


def test_by_default_the_optimizer_gets_the_parameters_and_nothing_else() -> None:
    given: list[Any] = []

    def factory(parameters: Any) -> Optimizer:
        given.append(parameters)
        return SGD(parameters, lr=0.1)

    model = Net()
    optimizer = optimizer_of(factory, model, ParameterOptions())
    assert type(given[0]) is type(model.parameters())
    assert len(optimizer.param_groups) == 1
    assert "name" not in optimizer.param_groups[0]


def test_biases_and_norms_do_not_decay() -> None:
    groups = groups_of(decay_biases_and_norms=False)
    assert {name: group["weight_decay"] for name, group in groups.items()} == {
        "default": 0.5,
        "default/no_decay": 0.0,
    }
    assert groups["default"]["params"] == [
        "embed.weight",
        *(f"blocks.{i}.0.weight" for i in range(3)),
        "head.weight",
    ]


def test_layers_learn_slower_with_their_depth() -> None:
    groups = groups_of(lr=1.0, layer_decay=0.5)
    assert {name: group["lr"] for name, group in groups.items()} == {
        "layer_0": 0.5**4,
        "layer_1": 0.5**3,
        "layer_2": 0.5**2,
        "layer_3": 0.5,
        "layer_4": 1.0,
    }
    assert groups["layer_0"]["params"] == ["embed.weight", "embed.bias"]
    assert groups["layer_4"]["params"] == ["head.weight", "head.bias"]


def test_the_last_pattern_that_fits_counts_and_multiplies_the_layers_factor() -> None:
    groups = groups_of(lr=1.0, lr_factors={"*": 0.1, "head": 10.0}, layer_decay=0.5)
    assert groups["layer_4/head"]["lr"] == 10.0
    assert groups["layer_3/*"]["lr"] == pytest.approx(0.05)


def test_a_model_without_blocks_has_no_layers() -> None:
    with pytest.raises(ConfigError, match="Linear has no nn.ModuleList"):
        optimizer_of(partial(SGD, lr=1.0), nn.Linear(2, 2), ParameterOptions(layer_decay=0.5))


@pytest.mark.parametrize(
    ("options", "key"),
    [({"freeze": ["embd.*"]}, "freeze"), ({"lr_factors": {"embd.*": 2.0}}, "lr_factors")],
)
def test_a_pattern_that_fits_nothing_is_told(options: dict[str, Any], key: str) -> None:
    model, chosen = Net(), ParameterOptions(**options)
    with pytest.raises(ConfigError, match=rf"parameters.{key}: .*did you mean 'embed.\*'"):
        freeze(model, chosen.freeze)
        optimizer_of(partial(SGD, lr=1.0), model, chosen)


def test_a_pattern_that_resembles_nothing_hears_what_there_is() -> None:
    chosen = ParameterOptions(lr_factors={"nope.*": 2.0})
    with pytest.raises(ConfigError, match=r"called 'nope.\*' \(at its top are embed, blocks, "):
        optimizer_of(partial(SGD, lr=1.0), Net(), chosen)


def test_what_was_frozen_is_free_again_but_for_what_its_owner_froze() -> None:
    model = Net()
    own = model.head.bias.requires_grad_(False)
    freeze(model, ["blocks.0", "head.bias"])
    freeze(model, ["embed"])
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"embed.weight", "embed.bias", "head.bias"}
    freeze(model, [])
    assert [p for p in model.parameters() if not p.requires_grad] == [own]
    assert all(module.training for module in model.train().modules())


def test_freezing_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves nothing to train"):
        freeze(Net(), ["*"])


def test_an_optimizer_without_decay_cannot_spare_norms_of_it() -> None:
    with pytest.raises(ConfigError, match="Rprop has no weight_decay"):
        optimizer_of(torch.optim.Rprop, Net(), ParameterOptions(decay_biases_and_norms=False))


def test_an_optimizer_that_needs_a_closure_is_refused() -> None:
    with pytest.raises(ConfigError, match="LBFGS computes the loss several times"):
        optimizer_of(torch.optim.LBFGS, Net(), ParameterOptions())


def test_frozen_norms_keep_their_statistics_in_training_and_in_copies() -> None:
    model = Net()
    freeze(model, ["blocks.0"])
    copied = copy.deepcopy(model)
    for net in (model, copied):
        net.train()
        before = [net.blocks[i][1].running_mean.clone() for i in range(2)]  # type: ignore[index]
        net(torch.randn(16, 8))
        after = [net.blocks[i][1].running_mean for i in range(2)]  # type: ignore[index]
        assert torch.equal(before[0], after[0])
        assert not torch.equal(before[1], after[1])
    assert not model.blocks[0][1].training and model.blocks[1][1].training  # type: ignore[index]


@pytest.mark.parametrize(
    "scheduler",
    [
        partial(OneCycleLR, max_lr=0.4, total_steps=10, cycle_momentum=False),
        partial(CyclicLR, base_lr=0.1, max_lr=0.4, cycle_momentum=False),
        partial(StepLR, step_size=2),
    ],
)
def test_every_group_keeps_its_share_under_a_schedule(scheduler: Any) -> None:
    optimizer = optimizer_of(
        partial(SGD, lr=0.4), Net(), ParameterOptions(lr_factors={"head": 10.0})
    )
    schedule = build_schedule(scheduler, optimizer, total_steps=None)
    seen = []
    for _ in range(8):
        body, head = (group["lr"] for group in optimizer.param_groups)
        assert head == pytest.approx(10 * body)
        seen.append(body)
        optimizer.step()
        schedule.step()
    assert len(set(seen)) > 1


class Levels(LRScheduler):
    def get_lr(self) -> list[float | Tensor]:
        return [0.5 for _ in self.optimizer.param_groups]


def test_a_scheduler_that_levels_the_groups_is_refused() -> None:
    options = ParameterOptions(lr_factors={"head": 10.0})
    optimizer = optimizer_of(partial(SGD, lr=0.4), Net(), options)
    with pytest.raises(ConfigError, match="Levels gives every group"):
        build_schedule(Levels, optimizer, total_steps=None)


def with_parameters(options: Options, **parameters: Any) -> Options:
    return replace(options, parameters=ParameterOptions(**parameters))


ALL: Mapping[str, Any] = {
    "freeze": ["embed", "blocks.0"],
    "lr_factors": {"head": 3.0},
    "layer_decay": 0.9,
    "decay_biases_and_norms": False,
}


def test_a_run_with_groups_and_frozen_parts_is_resumed_exactly(tmp_path: Path) -> None:
    options = with_parameters(tiny_options(ema_decay=0.9, max_grad_norm=1.0), **ALL)

    def go(path: Path, **changes: Any) -> None:
        torch.manual_seed(3)
        train(path, options, model=Net(), **changes)

    go(tmp_path / "straight")
    with pytest.raises(Interrupted):
        go(tmp_path / "resumed", callbacks={"stop": StopAt(7)})
    go(tmp_path / "resumed")
    assert same(final_state(tmp_path / "straight"), final_state(tmp_path / "resumed"))
    assert journal_of(tmp_path / "straight") == journal_of(tmp_path / "resumed")


def test_what_is_frozen_does_not_move(tmp_path: Path) -> None:
    model = Net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train(tmp_path / "run", with_parameters(tiny_options(), **ALL), model=model)
    weights, *_ = final_state(tmp_path / "run")
    frozen = [name for name in before if name.startswith(("embed", "blocks.0"))]
    assert all(torch.equal(before[name], weights[name]) for name in frozen)
    assert not torch.equal(before["head.weight"], weights["head.weight"])
    assert not torch.equal(before["blocks.1.1.running_mean"], weights["blocks.1.1.running_mean"])


def test_an_optimizer_made_before_takes_no_groups() -> None:
    model = Net()
    options = with_parameters(tiny_options(), lr_factors={"head": 2.0})
    with pytest.raises(ConfigError, match="made before"):
        tiny_parts(options, model=model, optimizer=SGD(model.parameters(), lr=0.1), scheduler=None)


def test_other_groups_are_another_run() -> None:
    one, other = (
        frozen(compose([f"parameters.layer_decay={decay}"]), threads=1) for decay in (0.5, 0.9)
    )
    assert differing_keys(one, other) == ["parameters.layer_decay"]

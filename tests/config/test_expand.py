"""Composing the runs of a sweep."""

import pytest
from omegaconf import OmegaConf

from runner.config import expand as module
from runner.config.compose import compose, composer
from runner.config.expand import expand
from runner.config.frozen import freeze_open
from runner.errors import ConfigError


def test_each_run_is_what_composing_it_alone_gives() -> None:
    choices = [
        (model, f"optimizer.lr={lr}", f"+model.{extra}")
        for model, extra in (("model=mlp", "x=1"), ("model=convnet", "y=[1,2]"))
        for lr in ("0.001", "3e-4")
    ]
    fixed = ["+experiment=digits", "data.batch_size=32"]
    with composer():
        composed = expand(fixed, choices)
    for one, overrides in zip(composed, choices, strict=True):
        assert one.overrides == overrides
        assert one.frozen == freeze_open(compose([*fixed, *overrides]))


def test_values_do_not_leak_from_one_run_into_the_next() -> None:
    with composer():
        first, second = expand([], [("optimizer.lr=0.5",), ("seed=3",)])
    assert first.frozen["seed"] == 0
    assert second.frozen["optimizer"]["lr"] != 0.5


def test_groups_are_composed_once_however_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = module.hydra.compose
    monkeypatch.setattr(
        module.hydra, "compose", lambda *a, **k: calls.append(a) or original(*a, **k)
    )
    with composer():
        expand([], [(f"model={m}", f"seed={s}") for m in ("mlp", "convnet") for s in range(5)])
    assert len(calls) == 2


def test_threads_stay_open_and_what_is_of_the_sweep_is_left_out() -> None:
    with composer():
        (one,) = expand(["sweep.retry=all", "fresh=true"], [()])
    assert one.frozen["hardware"]["threads"] is None
    assert not {"sweep", "fresh", "hydra"} & one.frozen.keys()
    assert OmegaConf.create(one.frozen)


def test_every_mistake_is_told_once() -> None:
    choices = [
        (f"model={model}", key, f"seed={seed}")
        for model in ("mlp", "mlpp")
        for key in ("optimizer.lr=0.1", "optimiser.lr=0.1")
        for seed in ("1", "2")
    ]
    with composer(), pytest.raises(ConfigError) as error:
        expand([], choices)
    problems = "\n".join(error.value.problems)
    assert "did you mean 'optimizer'" in problems
    assert "did you mean 'mlp'" in problems
    assert len(error.value.problems) == 2

"""Optimizers and schedulers from what a user has in hand: a name, a mapping, a factory, one made.

"AdamW"                              by its class, in any spelling: adamw
{"name": "adamw", "lr": 3e-4}        with arguments
{"_target_": "my.Lion", "lr": 1e-4}  of one's own, as in a config
{"generator": ..., "discriminator": ...}    several, for a task that lets them take turns
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import yaml
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from runner.build.optimizers import GivenOptimizer, GivenScheduler
from runner.config.instantiate import instantiate
from runner.config.locate import shipped_conf
from runner.config.targets import PARTIAL, TARGET, check_targets
from runner.errors import ConfigError, did_you_mean

NAME = "name"
DEFAULT = {NAME: "AdamW", "lr": 1e-3, "fused": True}


def read_optimizer(given: Any) -> GivenOptimizer:
    """Return what `assemble` takes as the optimizer: a factory or one made, or several by name.

    None stands for AdamW with a learning rate of 1e-3. Raises ConfigError in a sentence.
    """
    return _read(DEFAULT if given is None else given, "optimizer", _optimizer_names(), Optimizer)


def read_scheduler(given: Any, *, best_mode: str = "min") -> GivenScheduler:
    """Return what `assemble` takes as the scheduler, in the same ways; None: no schedule.

    A plateau by name follows a score that is better when it is smaller, or larger (`best_mode`).
    """
    if given is None or given == "constant":
        return None
    if isinstance(given, LRScheduler):
        raise ConfigError(
            "scheduler: one that is made already holds an optimizer of its own; give what makes "
            "it of the optimizer, such as a name or functools.partial(StepLR, step_size=10)"
        )
    found = _read(given, "scheduler", _scheduler_names(), LRScheduler)
    if isinstance(found, Mapping):
        return {name: _completed(each, best_mode) for name, each in found.items()}
    return _completed(found, best_mode)


def _read(given: Any, path: str, names: Mapping[str, str], kind: type) -> Any:
    if isinstance(given, str):
        given = {NAME: given}
    if isinstance(given, Mapping):
        if NAME in given or TARGET in given:
            return _factory(_node(given, path, names), path)
        if not given:
            raise ConfigError(f"{path}: an empty mapping names nothing: leave {path} out")
        return {key: _part(each, f"{path}.{key}", names, kind) for key, each in given.items()}
    if isinstance(given, kind) or callable(given):
        return given
    raise ConfigError(
        f"{path} must be a name such as 'AdamW' or 'one_cycle', a mapping with `{NAME}` and "
        f"arguments, or a function that makes one, got {given!r}"
    )


def _part(given: Any, path: str, names: Mapping[str, str], kind: type) -> Any:
    """Return one of several; a mapping in a mapping would name nothing."""
    if isinstance(given, Mapping) and not {NAME, TARGET} & set(given):
        raise ConfigError(f"{path} has no `{NAME}`, such as 'adamw': got {dict(given)!r}")
    if given is None:
        return None
    return _read(given, path, names, kind)


def _node(given: Mapping[str, Any], path: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Return `given` as a node of a config."""
    arguments = {key: value for key, value in given.items() if key not in (NAME, PARTIAL)}
    if TARGET in arguments:
        return {**arguments, PARTIAL: True}
    name = given[NAME]
    target = names.get(_spelling(str(name)))
    if target is None:
        known = sorted(names)
        hint = did_you_mean(str(name), known) or f"; there are {', '.join(known)}"
        raise ConfigError(f"{path}: there is none called {name!r}{hint}")
    return {TARGET: target, PARTIAL: True, **arguments}


def _factory(node: Mapping[str, Any], path: str) -> Callable[..., Any]:
    if problems := check_targets(node, path):
        raise ConfigError(*problems)
    return instantiate(node, path)


def _completed(factory: Any, best_mode: str) -> Any:
    """Return `factory` with what a config would refer to elsewhere."""
    made, given = getattr(factory, "func", None), getattr(factory, "keywords", {})
    if made is ReduceLROnPlateau and "mode" not in given:
        return partial(factory, mode=best_mode)
    if made is not OneCycleLR or "max_lr" in given:
        return factory

    def one_cycle(optimizer: Optimizer, *, total_steps: int) -> LRScheduler:
        """Rise to the learning rate that the optimizer was given."""
        return factory(optimizer, max_lr=optimizer.defaults["lr"], total_steps=total_steps)

    return one_cycle


def _optimizer_names() -> dict[str, str]:
    found = _classes(torch.optim, Optimizer)
    names = {_spelling(name): f"torch.optim.{name}" for name in found}
    return {**_members("optimizer"), **names}


def _scheduler_names() -> dict[str, str]:
    found = _classes(torch.optim.lr_scheduler, LRScheduler)
    names = {_spelling(name): f"torch.optim.lr_scheduler.{name}" for name in found}
    return {**names, **_members("scheduler")}


def _members(group: str) -> dict[str, str]:
    """Return what the members of a config group build, by their names."""
    found = {}
    for file in (shipped_conf() / group).glob("*.yaml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        node = content.get(group, content)
        if node is not None and TARGET in node:
            found[_spelling(file.stem)] = node[TARGET]
    return found


def _classes(module: Any, kind: type) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, kind)
        and value is not kind
        and not name.startswith("_")
    ]


def _spelling(name: str) -> str:
    """Return `name` as it is compared: one_cycle is OneCycleLR."""
    return name.lower().replace("_", "").removesuffix("lr")

"""Optimizers and schedulers from what a user has in hand: a name, a mapping, a factory, one made.

"AdamW"                              by its class, in any spelling: adamw
{"name": "adamw", "lr": 3e-4}        with arguments
{"_target_": "my.Lion", "lr": 1e-4}  of one's own, as in a config
{"generator": ..., "discriminator": ...}    several, for a task that lets them take turns
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from runner.build.optimizers import GivenOptimizer, GivenScheduler
from runner.config.instantiate import instantiate
from runner.config.targets import PARTIAL, TARGET, check_targets
from runner.errors import ConfigError, did_you_mean
from runner.optim.schedules import cosine_with_warmup

NAME = "name"
DEFAULT = {NAME: "AdamW", "lr": 1e-3, "fused": True}
# The names of conf/scheduler/ that are not those of a class of torch.
_OWN_SCHEDULERS = {
    "cosine": f"{cosine_with_warmup.__module__}.{cosine_with_warmup.__name__}",
    "plateau": "torch.optim.lr_scheduler.ReduceLROnPlateau",
}


def read_optimizer(given: Any) -> GivenOptimizer:
    """Return what `assemble` takes as the optimizer: a factory or one made, or several by name.

    None stands for AdamW with a learning rate of 1e-3. Raises ConfigError in a sentence.
    """
    return _read(DEFAULT if given is None else given, "optimizer", _optimizer_names(), Optimizer)


def read_scheduler(given: Any) -> GivenScheduler:
    """Return what `assemble` takes as the scheduler, in the same ways; None: no schedule."""
    if given is None or given == "constant":
        return None
    if isinstance(given, LRScheduler):
        raise ConfigError(
            "scheduler: one that is made already holds an optimizer of its own; give what makes "
            "it of the optimizer, such as a name or functools.partial(StepLR, step_size=10)"
        )
    return _read(given, "scheduler", _scheduler_names(), LRScheduler)


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
        known = sorted({each.rpartition(".")[2] for each in names.values()})
        hint = did_you_mean(str(name), known) or f"; there are {', '.join(known)}"
        raise ConfigError(f"{path}: there is none called {name!r}{hint}")
    return {TARGET: target, PARTIAL: True, **arguments}


def _factory(node: Mapping[str, Any], path: str) -> Callable[..., Any]:
    if problems := check_targets(node, path):
        raise ConfigError(*problems)
    return _with_peak(instantiate(node, path))


def _with_peak(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Let a schedule that asks for its highest learning rate take the optimizer's own."""
    if getattr(factory, "func", None) is not torch.optim.lr_scheduler.OneCycleLR:
        return factory
    if "max_lr" in getattr(factory, "keywords", {}):
        return factory

    def one_cycle(optimizer: Optimizer, *, total_steps: int) -> LRScheduler:
        return factory(optimizer, max_lr=optimizer.defaults["lr"], total_steps=total_steps)

    return one_cycle


def _optimizer_names() -> dict[str, str]:
    found = _classes(torch.optim, Optimizer)
    return {_spelling(name): f"torch.optim.{name}" for name in found}


def _scheduler_names() -> dict[str, str]:
    found = _classes(torch.optim.lr_scheduler, LRScheduler)
    names = {_spelling(name): f"torch.optim.lr_scheduler.{name}" for name in found}
    return {**names, **_OWN_SCHEDULERS}


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

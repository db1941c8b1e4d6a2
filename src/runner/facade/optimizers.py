"""Optimizers and schedulers from what a user has in hand: a name, a mapping, a factory, one made.

"adamw"                              a member of conf/, with the arguments of its file
"AdamW"                              torch's class, with torch's own
{"name": "adamw", "lr": 3e-4}        with other arguments; {"lr": 3e-4} is AdamW's
{"_target_": "my.Lion", "lr": 1e-4}  of one's own, as in a config
{"generator": ..., "discriminator": ...}    several, for a task that lets them take turns
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import yaml
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from runner.build.optimizers import GivenOptimizer, GivenScheduler
from runner.config.instantiate import instantiate
from runner.config.locate import shipped_conf
from runner.config.options import Options
from runner.config.targets import PARTIAL, TARGET, check_targets
from runner.errors import ConfigError, did_you_mean

Node = Mapping[str, Any]

NAME = "name"
DEFAULT = "adamw"


def read_optimizer(given: Any) -> GivenOptimizer:
    """Return what `assemble` takes as the optimizer: a factory or one made, or several by name.

    None stands for AdamW with a learning rate of 1e-3. Raises ConfigError in a sentence.
    """
    if given is None:
        given = DEFAULT
    elif _are_arguments(given):
        given = {NAME: DEFAULT, **given}
    return _read(given, "optimizer", _names("optimizer", torch.optim, Optimizer), Optimizer)


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
    names = _names("scheduler", lr_scheduler, LRScheduler)
    found = _read(given, "scheduler", names, LRScheduler)
    if isinstance(found, Mapping):
        return {name: _completed(each, best_mode) for name, each in found.items()}
    return _completed(found, best_mode)


def with_cadence(options: Options, scheduler: Any, written: Collection[str]) -> Options:
    """Return `options` with the `trainer.schedule_every` that a member's file says.

    One that is `written` (see `Settings`) or differs from the default stays. ConfigError if several
    schedulers want different ones.
    """
    key = "schedule_every"
    each = scheduler.values() if _are_several(scheduler) else [scheduler]
    files = [_files("scheduler").get(_name_of(one), {}) for one in each]
    wanted = sorted({file["trainer"][key] for file in files if "trainer" in file})
    is_given = f"trainer.{key}" in written or options.trainer.schedule_every != "step"
    if is_given or not wanted:
        return options
    if len(wanted) > 1:
        raise ConfigError(
            f"scheduler: one goes on every {' and another every '.join(wanted)}: say which counts, "
            f"trainer.{key}={wanted[0]} for one"
        )
    return replace(options, trainer=replace(options.trainer, schedule_every=wanted[0]))


def _read(given: Any, path: str, names: Mapping[str, Node], kind: type) -> Any:
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


def start_of(given: GivenOptimizer) -> Callable[[], None]:
    """Return what puts the optimizers that were made back to the state that they have now."""
    each = given.values() if isinstance(given, Mapping) else [given]
    made = [(one, deepcopy(one.state_dict())) for one in each if isinstance(one, Optimizer)]

    def put_back() -> None:
        for optimizer, state in made:
            optimizer.load_state_dict(state)  # which copies it

    return put_back


def _are_arguments(given: Any) -> bool:
    """Return whether `given` has numbers alone, which name no optimizer."""
    return (
        isinstance(given, Mapping)
        and bool(given)
        and all(isinstance(each, int | float | list | tuple) for each in given.values())
    )


def _are_several(given: Any) -> bool:
    return isinstance(given, Mapping) and not {NAME, TARGET} & set(given)


def _name_of(given: Any) -> str:
    """Return the name that `given` has been called by, or ""."""
    return str(given.get(NAME, "") if isinstance(given, Mapping) else given)


def _part(given: Any, path: str, names: Mapping[str, Node], kind: type) -> Any:
    """Return one of several; a mapping in a mapping would name nothing."""
    if _are_several(given):
        raise ConfigError(f"{path} has no `{NAME}`, such as 'adamw': got {dict(given)!r}")
    if given is None:
        return None
    return _read(given, path, names, kind)


def _node(given: Mapping[str, Any], path: str, names: Mapping[str, Node]) -> dict[str, Any]:
    """Return `given` as a node of a config."""
    arguments = {key: value for key, value in given.items() if key not in (NAME, PARTIAL)}
    if TARGET in arguments:
        return {**arguments, PARTIAL: True}
    name = given[NAME]
    spelled = {_spelling(known): node for known, node in names.items()}  # a class before a member
    node = names.get(str(name), spelled.get(_spelling(str(name))))
    if node is None:
        known = sorted(names)
        hint = did_you_mean(str(name), known) or f"; there are {', '.join(known)}"
        raise ConfigError(f"{path}: there is none called {name!r}{hint}")
    return {**node, PARTIAL: True, **arguments}


def _factory(node: Mapping[str, Any], path: str) -> Callable[..., Any]:
    if problems := check_targets(node, path):
        raise ConfigError(*problems)
    return instantiate(node, path)


def _completed(factory: Any, best_mode: str) -> Any:
    """Return `factory` with what a config would refer to elsewhere."""
    made, given = getattr(factory, "func", None), getattr(factory, "keywords", {})
    if made is ReduceLROnPlateau and "mode" not in given:
        return partial(factory, mode=best_mode)
    return factory


def _names(group: str, module: Any, kind: type) -> dict[str, Node]:
    """Return what can be called by name: members of a config group as they are, torch's classes."""
    path = module.__name__
    files = {name: file.get(group, file) or {} for name, file in _files(group).items()}
    members = {name: _own_arguments(node) for name, node in files.items() if TARGET in node}
    return members | {name: {TARGET: f"{path}.{name}"} for name in _classes(module, kind)}


def _files(group: str) -> dict[str, Node]:
    """Return the content of the members of a config group, by their names."""
    files = (shipped_conf() / group).glob("*.yaml")
    return {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}


def _own_arguments(node: Node) -> Node:
    """Return `node` without what refers to another part of a config."""
    return {key: value for key, value in node.items() if not str(value).startswith("${")}


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

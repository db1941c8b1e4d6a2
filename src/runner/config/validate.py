"""Turn a composed config into a `RunConfig`, or tell everything that is wrong with it at once."""

import re
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from omegaconf import DictConfig

from runner.config.annotations import fits, name_of
from runner.config.combinations import check_combinations
from runner.config.frozen import OF_SWEEPS, freeze
from runner.config.interpolations import UNRESOLVED, resolve
from runner.config.options import (
    CheckpointOptions,
    DebugOptions,
    HardwareOptions,
    LoaderOptions,
    Options,
    ParameterOptions,
    PrecisionOptions,
    SweepOptions,
    TrainerOptions,
)
from runner.config.run_config import RunConfig
from runner.config.secrets import secrets_in
from runner.config.targets import PARTIAL, TARGET, check_targets
from runner.errors import ConfigError, did_you_mean

OPTION_NODES = {
    "trainer": TrainerOptions,
    "checkpoint": CheckpointOptions,
    "hardware": HardwareOptions,
    "precision": PrecisionOptions,
    "debug": DebugOptions,
    "parameters": ParameterOptions,
}
COMPONENTS = ("model", "data", "task", "optimizer", "scheduler")
BY_NAME = ("optimizer", "scheduler")  # one node, or several by name
MAPPINGS = ("callbacks", "trackers")
LOADER_KEYS = frozenset(field.name for field in fields(LoaderOptions))
INIT_WEIGHTS = {"init_weights_from": str | None, "init_weights_strict": bool}
TOP_LEVEL_KEYS = (
    *("name", "seed", "output_dir"),
    *INIT_WEIGHTS,
    *OPTION_NODES,
    *COMPONENTS,
    *MAPPINGS,
)
LATER_KEYS = (*INIT_WEIGHTS, "parameters")  # runs of an earlier version have none of them

T = TypeVar("T")


def validate(
    cfg: DictConfig, *, choices: Mapping[str, str] | None = None, threads: int | None = None
) -> RunConfig:
    """Return the typed config, or raise ConfigError with one sentence for each mistake.

    Every `_target_` is imported and compared with its arguments, and nothing is built. `choices`
    maps config groups to their chosen members, so that a sentence can say "data=digits". `threads`
    are those of a run that is continued, for a config that leaves hardware.threads open.
    """
    frozen = freeze(cfg, threads=threads)
    plain, problems = resolve(cfg, choices=choices)
    plain.pop("hydra", None)
    problems += _check_top_level(plain)
    if choices:  # of a run that is there, the config is written already
        problems += secrets_in(frozen)
    options = _read_all_options(plain, frozen, problems)
    nodes = _read_components(plain, problems)
    if not problems:
        assert options is not None
        problems += check_combinations(options, nodes["scheduler"])
    if problems or options is None:
        raise ConfigError(*problems)
    return RunConfig(
        name=str(plain["name"]),
        seed=options.seed,
        output_dir=str(plain["output_dir"]),
        trainer=options.trainer,
        loader=options.loader,
        checkpoint=options.checkpoint,
        hardware=options.hardware,
        precision=options.precision,
        debug=options.debug,
        parameters=options.parameters,
        init_weights_from=options.init_weights_from,
        init_weights_strict=options.init_weights_strict,
        frozen=frozen,
        **nodes,
    )


def read_options(kind: type[T], node: Mapping[str, Any], path: str) -> T:
    """Return the options dataclass `kind`, and those in it, filled from `node`; or ConfigError."""
    annotations = typing.get_type_hints(kind)
    problems, values = [], {}
    for key, value in node.items():
        if key not in annotations:
            problems.append(f"{path}.{key} is no known key{did_you_mean(key, annotations)}")
        elif is_dataclass(annotations[key]):
            try:
                values[key] = _read_group(annotations[key], value, f"{path}.{key}")
            except ConfigError as error:
                problems += error.problems
        elif not fits(value, annotations[key]):
            expected = name_of(annotations[key])
            problems.append(f"{path}.{key} must be {expected}, got {value!r}")
        else:
            values[key] = value
    if problems:
        raise ConfigError(*problems)
    return kind(**values)


def _read_group(kind: type[T], value: object, path: str) -> T:
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path} must be a group of keys, got {value!r}")
    return read_options(kind, value, path)


def _check_top_level(plain: Mapping[str, Any]) -> list[str]:
    unknown = [
        f"{key} is no known key{did_you_mean(key, TOP_LEVEL_KEYS)}"
        for key in plain
        if key not in (*TOP_LEVEL_KEYS, *OF_SWEEPS)
    ]
    absent = [
        f"{key} is missing from the config"
        for key in TOP_LEVEL_KEYS
        if key not in plain and key not in LATER_KEYS
    ]
    return unknown + absent


def _read_all_options(
    plain: Mapping[str, Any], frozen: Mapping[str, Any], problems: list[str]
) -> Options | None:
    """Return the knobs that runner itself reads; add what is wrong with them to `problems`."""
    found: dict[str, Any] = {}
    nodes = {name: plain.get(name) for name in OPTION_NODES}
    data = plain.get("data")
    if isinstance(data, Mapping):
        nodes["data"] = {key: value for key, value in data.items() if key in LOADER_KEYS}
    for name, node in nodes.items():
        if not isinstance(node, Mapping):
            if name in plain:
                problems.append(f"{name} must be a group of keys, got {node!r}")
            continue
        if _is_open(node):
            continue
        if name == "hardware":
            node = {**node, "threads": frozen[name]["threads"]}
        try:
            found[name] = read_options(OPTION_NODES.get(name, LoaderOptions), node, name)
        except ConfigError as error:
            problems += error.problems
    problems += _check_sweep(plain.get("sweep"))
    problems += _check_name(plain.get("name"))
    problems += _check_seed(plain.get("seed"))
    first = _read_init_weights(plain, problems)
    if problems:
        return None
    return Options(seed=plain["seed"], loader=found.pop("data"), **first, **found)


def _is_open(node: object) -> bool:
    """Return whether a value in `node` has a problem that is already told."""
    if isinstance(node, Mapping):
        return any(_is_open(value) for value in node.values())
    return node is UNRESOLVED or (isinstance(node, list) and any(_is_open(item) for item in node))


def _read_init_weights(plain: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Return the keys that say what training begins with; add what is wrong to `problems`."""
    found = {
        key: plain[key] for key in INIT_WEIGHTS if plain.get(key, UNRESOLVED) is not UNRESOLVED
    }
    problems += [
        f"{key} must be {name_of(INIT_WEIGHTS[key])}, got {value!r}"
        for key, value in found.items()
        if not fits(value, INIT_WEIGHTS[key])
    ]
    return found


def _check_sweep(node: object) -> list[str]:
    """Check what a config that is no part of a sweep may hold nevertheless."""
    if not isinstance(node, Mapping):
        return []
    try:
        read_options(SweepOptions, node, "sweep")
    except ConfigError as error:
        return list(error.problems)
    return []


def _check_name(name: object) -> list[str]:
    """Check that `name` can be the name of a folder."""
    if name is UNRESOLVED:
        return []
    if name in (None, ".", "..") or not re.fullmatch(r"[^/\\]+", str(name)):
        return [f"name must be the name of a folder, got {name!r}"]
    return []


def _check_seed(seed: object) -> list[str]:
    if seed is UNRESOLVED or (fits(seed, int) and typing.cast(int, seed) >= 0):
        return []
    return [f"seed must be a whole number >= 0, got {seed!r}"]


def _read_components(plain: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Return the `_target_` nodes; add what is wrong with them to `problems`."""
    nodes: dict[str, Any] = {}
    for name in COMPONENTS:
        node = plain.get(name)
        if name == "data" and isinstance(node, Mapping):
            node = {key: value for key, value in node.items() if key not in LOADER_KEYS}
        nodes[name] = node
        if node is not None or name != "scheduler":
            problems += _check_each(node, name) if name in BY_NAME else _check_component(node, name)
    for name in MAPPINGS:
        mapping = plain.get(name) or {}
        nodes[name] = {key: node for key, node in mapping.items() if node is not None}
        for key, node in nodes[name].items():
            problems += _check_component(node, f"{name}.{key}")
    return nodes


def _check_each(node: Any, path: str) -> list[str]:
    """Check one node, or a node for each name; of schedulers some may be null."""
    is_one = not isinstance(node, Mapping) or TARGET in node or not node
    if is_one or not all(each is None or isinstance(each, Mapping) for each in node.values()):
        return _check_component(node, path)
    return [
        problem
        for name, each in node.items()
        if each is not None or path != "scheduler"
        for problem in _check_component(each, f"{path}.{name}")
    ]


def _check_component(node: Any, path: str) -> list[str]:
    if node is UNRESOLVED:
        return []
    if not isinstance(node, Mapping) or TARGET not in node:
        return [f"{path} has no {TARGET}, so there is nothing to build"]
    if path.split(".")[0] in BY_NAME and node.get(PARTIAL) is not True:
        return [f"{path} must have {PARTIAL}: true, since runner itself calls {node[TARGET]}"]
    return check_targets(node, path)

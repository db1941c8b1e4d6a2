"""Read overrides as a user types them, and say what is wrong with those that do not fit."""

import re
from collections.abc import Iterator, Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config.compose import compose
from runner.config.groups import groups, members
from runner.errors import ConfigError, did_you_mean

_MOST_NAMES = 12


def parse_override(text: str) -> Override:
    """Return the parsed override, or raise ConfigError showing how one is written."""
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"'{text}' is no override: write key=value, +key=value or ~key ({reason})"
        ) from error


def quoted(text: str) -> str:
    """Return `text` so that an override takes it as it stands, whatever is in it."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def apply_value(cfg: DictConfig, override: Override) -> None:
    """Change `cfg` in place by an override that names no group, or raise ConfigError."""
    check_key(cfg, override)
    try:
        ConfigLoaderImpl._apply_overrides_to_config([override], cfg)
    except HydraException as error:
        raise ConfigError(_one_line(error)) from error


def check_key(cfg: DictConfig, override: Override) -> None:
    """Raise ConfigError when `cfg` has no such key, unless `override` may add one."""
    problem = _check_key(cfg, override)
    if problem is not None:
        raise ConfigError(problem)


def diagnose(overrides: Sequence[str], error: Exception) -> ConfigError:
    """Return, after `error` from Hydra, one sentence for each override that does not fit."""
    problems: list[str] = []
    fitting: list[Override] = []
    for text in overrides:
        try:
            override = parse_override(text)
        except ConfigError as mistake:
            problems += mistake.problems
            continue
        problem = _check_sweep(override, error) or _check_group(override)
        if problem is None:
            fitting.append(override)
        else:
            problems.append(problem)
    problems += _check_values(fitting)
    problems += _check_hydra(overrides, error)
    return ConfigError(*problems or [_one_line(error)])


def _check_hydra(overrides: Sequence[str], error: Exception) -> list[str]:
    """Return a sentence for a key that the chosen sweeper or launcher does not have."""
    found = re.search(r"Key '(\w+)' (?:not|is not) in '?(\w+)'?", f"{error} {error.__cause__}")
    if found is None:
        return []
    for text in overrides:
        key = text.partition("=")[0]
        if key == f"hydra.sweeper.{found[1]}":
            return [
                f"{key}: the chosen hydra/sweeper has no such key (grid has params, zip and "
                "exclude; for a search add hydra/sweeper=random or hydra/sweeper=optuna)"
            ]
        if key == f"hydra.launcher.{found[1]}":
            return [
                f"{key}: the chosen hydra/launcher has no such key (see docs/sweeps.md for local, "
                "docs/slurm.md for slurm)"
            ]
    return []


def is_group(override: Override) -> bool:
    """Return whether `override` chooses members of a config group; `callbacks={}` sets a value."""
    if override.key_or_group not in groups():
        return False
    return override.is_sweep_override() or not isinstance(override.value(), dict)


def _check_sweep(override: Override, error: Exception) -> str | None:
    if override.is_sweep_override() and "multirun" in str(error):
        return (
            f"{override.input_line} names several values: add -m for a sweep over them, or write "
            f"{override.key_or_group}=[...] for a list"
        )
    return None


def _check_group(override: Override) -> str | None:
    """Return what is wrong with the choice of a group member, if anything."""
    if not is_group(override) or override.is_delete():
        return None
    group = override.key_or_group
    known = members(group)
    for member in _chosen(override):
        if member not in known:
            return f"{group}={member}: there is no such {group}{_suggest(member, known)}"
    if group == "experiment" and not override.is_add():
        return f"an experiment is added: write +{override.input_line}"
    return None


def _suggest(word: str, known: Sequence[str]) -> str:
    return f"{did_you_mean(word, known)} (there are {', '.join(known)})"


def _chosen(override: Override) -> Iterator[str]:
    if override.is_sweep_override():
        if override.is_discrete_sweep() and override.value_type != ValueType.GLOB_CHOICE_SWEEP:
            yield from (str(value) for value in override.sweep_string_iterator())
        return
    value = override.value()
    chosen = value if isinstance(value, list) else [value]
    yield from (str(member) for member in chosen if member is not None)


def _check_values(overrides: Sequence[Override]) -> list[str]:
    """Return what is wrong with overrides of single keys, judged by the config without them."""
    chosen = [o for o in overrides if is_group(o) and not o.is_sweep_override()]
    try:
        cfg = compose([o.input_line or "" for o in chosen])
    except (HydraException, OmegaConfBaseException):
        return []
    values = [o for o in overrides if not is_group(o) and not o.is_hydra_override()]
    problems = (_check_key(cfg, override) for override in values)
    return [problem for problem in problems if problem is not None]


def _check_key(cfg: DictConfig, override: Override) -> str | None:
    """Return what is wrong with the key of `override`, unless it may be a new one."""
    key = override.key_or_group
    if override.is_add() or override.is_force_add():
        return None
    node, known = cfg, ""
    for part in key.split("."):
        if not isinstance(node, DictConfig):
            return f"{key}: {known} is a single value, so it has no '{part}'"
        names = [str(name) for name in node]
        if part not in names:
            candidates = [*names, *groups()] if node is cfg else names
            where = f"{known} has no key '{part}'" if known else f"there is no key '{part}'"
            close = did_you_mean(part, candidates) or _elsewhere(cfg, part, names, owner=known)
            return f"{key}: {where}{close}{_new_key(known, override)}"
        known = f"{known}.{part}".lstrip(".")
        node = OmegaConf.select(cfg, known, throw_on_resolution_failure=False)
    return None


def _elsewhere(cfg: DictConfig, part: str, names: Sequence[str], *, owner: str) -> str:
    """Return where the one key of this name is, or which keys there are: "" if they are many."""
    if owner:
        return f" (there are {', '.join(names)})" if len(names) <= _MOST_NAMES else ""
    homes = [name for name in cfg if part in _keys_of(cfg, str(name))]
    return f" - did you mean '{homes[0]}.{part}'?" if len(homes) == 1 else ""


def _keys_of(cfg: DictConfig, name: str) -> list[str]:
    """Return the keys of the node `name` of `cfg`; none if it is a single value."""
    node = OmegaConf.select(cfg, name, throw_on_resolution_failure=False)
    return [str(key) for key in node] if isinstance(node, DictConfig) else []


def _new_key(owner: str, override: Override) -> str:
    """Return how to add an argument to a `_target_` node; runner's own nodes take no new keys."""
    if owner.split(".")[0] in ("model", "data", "task", "optimizer", "scheduler", "callbacks"):
        return f" (to add an argument: +{override.input_line})"
    return ""


def _one_line(error: Exception) -> str:
    """Return the message of an exception of Hydra with that of its cause, in one line."""
    if isinstance(error, MissingConfigException):
        group, _, member = (error.missing_cfg_file or "").rpartition("/")
        if error.options:
            return f"{group}={member}: there is no such {group}{_suggest(member, error.options)}"
        return f"there is no config file '{error.missing_cfg_file}'"
    parts = [str(error), str(error.__cause__ or "")]
    lines = [line.strip() for part in parts for line in part.splitlines() if line.strip()]
    return "; ".join(dict.fromkeys(line for line in lines if "object_type=" not in line))

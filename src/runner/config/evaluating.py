"""Overrides for the evaluation of a run that is trained: other data, another way to read."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config.compose import compose
from runner.config.groups import members
from runner.config.layout import leaves
from runner.config.options import LoaderOptions
from runner.config.overrides import apply_value, check_key, is_group, parse_override
from runner.config.secrets import secrets_in_change
from runner.config.written import plain_of
from runner.errors import ConfigError, did_you_mean

EVALUATION_KEYS = ("data", "task", "precision", "hardware", "debug", "trainer.compile")
_ABSENT = object()


def apply_evaluation_overrides(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Change `cfg` in place, or raise ConfigError naming every override that cannot be.

    Only what comes after training may change (`EVALUATION_KEYS`), and the model stays as it was
    trained, also where it takes a value from elsewhere in the config.
    """
    trained, before = _model(cfg), plain_of(cfg)
    problems: list[str] = []
    for text in overrides:
        try:
            _apply(cfg, parse_override(text))
        except ConfigError as error:
            problems += error.problems
    problems += secrets_in_change(before, plain_of(cfg))
    if problems:
        raise ConfigError(*problems)
    _check_model(trained, _model(cfg))


def _apply(cfg: DictConfig, override: Override) -> None:
    key = override.key_or_group
    if override.is_sweep_override():
        raise ConfigError(f"{override.input_line}: an evaluation takes one value, not several")
    if not is_group(override):
        check_key(cfg, override)
    if not any(key == known or key.startswith(f"{known}.") for known in EVALUATION_KEYS):
        raise ConfigError(
            f"{override.input_line}: an evaluation takes what was trained as it is; only "
            f"{', '.join(EVALUATION_KEYS)} may change"
        )
    if is_group(override) and not override.is_delete():
        _choose(cfg, key, str(override.value()))
    else:
        apply_value(cfg, override)


def _choose(cfg: DictConfig, group: str, member: str) -> None:
    """Put the member of a group in the place of what the run has."""
    known = members(group)
    if member not in known:
        hint = did_you_mean(member, known)
        raise ConfigError(f"{group}={member}: there is no such {group}{hint}")
    try:
        chosen = OmegaConf.to_container(compose(config_name=f"{group}/{member}")[group])
    except HydraException as error:
        raise ConfigError(f"{group}={member}: {' '.join(str(error).split())}") from error
    assert isinstance(chosen, dict)
    if group == "data":
        chosen = {**chosen, **_kept_of_data(cfg, chosen)}
        for other in ("model", "task"):  # what they took from the data is what they were trained on
            _replace(cfg, other, _resolved(cfg, other))
    _replace(cfg, group, chosen)


def _kept_of_data(cfg: DictConfig, chosen: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what other data take over: how batches are made, and the input that the model takes.

    A member says none of the first, which are runner's own keys.
    """
    present = _resolved(cfg, "data")
    names = [field.name for field in fields(LoaderOptions)]
    if "preprocessor" in chosen:
        names.append("preprocessor")
    return {name: present[name] for name in names if name in present}


def _resolved(cfg: DictConfig, node: str) -> dict[str, Any]:
    try:
        found = OmegaConf.to_container(cfg[node], resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{node}: {' '.join(str(error).split())}") from error
    assert isinstance(found, dict)
    return found  # type: ignore[return-value]


def _replace(cfg: DictConfig, node: str, content: Mapping[Any, Any]) -> None:
    OmegaConf.update(cfg, node, dict(content), merge=False)


def _model(cfg: DictConfig) -> dict[str, Any]:
    """Return the model of `cfg` by dotted key, as far as it can be resolved."""
    with suppress(ConfigError):  # told by validate
        return leaves({"model": _resolved(cfg, "model")})
    return {}


def _check_model(before: dict[str, Any], after: dict[str, Any]) -> None:
    if not before or not after:
        return
    problems = [
        f"{key} would become {after.get(key)!r}, and the weights were trained with "
        f"{before.get(key)!r}: this override changes the model"
        for key in sorted(before.keys() | after.keys())
        if before.get(key, _ABSENT) != after.get(key, _ABSENT)
    ]
    if problems:
        raise ConfigError(*problems)

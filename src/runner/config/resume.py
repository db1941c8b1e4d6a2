"""Overrides of layout keys on the frozen config of a run that exists."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from runner.config.cluster import SlurmOptions
from runner.config.compose import compose
from runner.config.groups import members
from runner.config.layout import is_layout, leaves
from runner.config.options import LAYOUT_KEYS
from runner.config.overrides import apply_value, check_key, is_group, parse_override
from runner.config.secrets import secrets_in_change
from runner.config.written import plain_of
from runner.errors import ConfigError, did_you_mean

REFUSED = ", so it is refused"


def apply_layout_overrides(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Change `cfg` in place, or raise ConfigError naming every override that changes the result."""
    problems: list[str] = []
    before = plain_of(cfg)
    for text in overrides:
        try:
            _apply(cfg, parse_override(text))
        except ConfigError as error:
            problems += error.problems
    if any(problem.endswith(REFUSED) for problem in problems):
        problems[-1] += f"; on resume only these keys may change: {', '.join(LAYOUT_KEYS)}"
    problems += secrets_in_change(before, plain_of(cfg))
    if problems:
        raise ConfigError(*problems)


def _apply(cfg: DictConfig, override: Override) -> None:
    if override.is_sweep_override():
        raise ConfigError(f"{override.input_line}: a run is continued with one value, not several")
    if override.key_or_group == "experiment":
        raise ConfigError(f"another experiment is another run{REFUSED}")
    if is_group(override) and not override.is_delete():
        _choose(cfg, override.key_or_group, str(override.value()))
        return
    _add_slurm(cfg, override.key_or_group)
    check_key(cfg, override)
    if not is_layout(override.key_or_group):
        raise ConfigError(_refusal(override.key_or_group))
    apply_value(cfg, override)


def _add_slurm(cfg: DictConfig, key: str) -> None:
    """Give the config of an older run the node that `key` is about."""
    if key.startswith("hardware.slurm.") and "slurm" not in cfg.hardware:
        OmegaConf.update(cfg, "hardware.slurm", asdict(SlurmOptions()), force_add=True)


def _choose(cfg: DictConfig, group: str, member: str) -> None:
    """Put the member of a group into `cfg`, as far as it changes layout keys only."""
    known = members(group)
    if member not in known:
        raise ConfigError(f"there is no {group}={member}{did_you_mean(member, known)}")
    composed = compose(config_name=f"{group}/{member}").get(group)
    node = OmegaConf.to_container(composed) if composed is not None else {}
    if is_layout(group):
        OmegaConf.update(cfg, group, node, merge=False)
        return
    refused = []
    for key, value in leaves(cast(dict[str, Any], node), f"{group}.").items():
        present = OmegaConf.select(cfg, key)
        if is_layout(key):
            OmegaConf.update(cfg, key, value)
        elif value is not None and value != present:
            refused.append(_refusal(key))
    if refused:
        raise ConfigError(*refused)


def _refusal(key: str) -> str:
    return f"{key} would change the result of a run that has begun{REFUSED}"

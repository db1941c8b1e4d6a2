"""The text of config.yaml: what is written is what is read back, by OmegaConf and by plain YAML."""

from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.errors import ConfigError, RunError


def to_yaml(frozen: dict[str, Any]) -> str:
    """Return the text of config.yaml.

    OmegaConf's own writer quotes what its reader would take for a number, such as the text "1e3".
    """
    return OmegaConf.to_yaml(OmegaConf.create(frozen))


def read_config(path: Path) -> dict[str, Any]:
    """Return the frozen config of a run, unresolved; RunError if there is none."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path.parent} is no run directory: {path.name}: {error}") from error
    except RecursionError as error:
        raise RunError(f"{path} is damaged: it is nested too deep") from error
    except (yaml.YAMLError, ValueError) as error:
        raise RunError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict | None):
        raise RunError(f"{path} is damaged: it holds no keys and values")
    return config  # type: ignore[return-value]


def read_mapping(path: Path) -> dict[str, Any]:
    """Return what the YAML file at `path` says, resolved; ConfigError if it is not that."""
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OSError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold keys and values, as in `seed: 1`")
    return content  # type: ignore[return-value]


def plain_of(cfg: DictConfig) -> dict[str, Any]:
    """Return `cfg` as plain containers, unresolved."""
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=False))

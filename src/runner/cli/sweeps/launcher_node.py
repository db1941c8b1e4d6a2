"""The node `hydra.launcher` of what is resumed, changed by the overrides of the command."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from runner.config.overrides import apply_value, parse_override
from runner.errors import ConfigError

_CHOICE = "hydra/launcher="
_OF_LAUNCHER = (_CHOICE, "hydra.launcher.")


def changed_launcher(
    node: Mapping[str, Any], overrides: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the node with those of `overrides` that are about it, and the other overrides.

    What is resumed is watched, also if it was submitted with hydra.launcher.wait=false, unless the
    overrides say so again. Raises ConfigError for a launcher that is not there, and for a key that
    it does not have.
    """
    mine = [text for text in overrides if text.startswith(_OF_LAUNCHER)]
    chosen = [text for text in mine if text.startswith(_CHOICE)]
    launcher = _called(chosen[-1]) if chosen else dict(node)
    if "wait" in launcher:
        launcher["wait"] = True
    cfg = OmegaConf.create({"hydra": {"launcher": launcher}})
    OmegaConf.set_struct(cfg, True)
    for text in mine:
        if text not in chosen:
            apply_value(cfg, parse_override(text))
    plain = OmegaConf.to_container(cfg.hydra.launcher)
    assert isinstance(plain, dict)
    changed = {str(key): value for key, value in plain.items()}
    return changed, [text for text in overrides if text not in mine]


def is_of_cluster(node: Mapping[str, Any]) -> bool:
    """Return whether a launcher takes jobs to a cluster."""
    return hasattr(get_class(node["_target_"]), "is_of_cluster")


def check_options(node: Mapping[str, Any]) -> None:
    """Raise ConfigError for what a launcher of ours cannot be told."""
    if not hasattr(get_class(node["_target_"]), "open_pool"):
        return
    try:
        instantiate(node).limits  # noqa: B018 - reads all of its options
    except TypeError as error:
        raise ConfigError(f"hydra.launcher: the value of a key is wrong: {error}") from error


def _called(override: str) -> dict[str, Any]:
    name = override.removeprefix(_CHOICE)
    Plugins.instance()  # they register them
    try:
        node = ConfigStore.instance().load(f"hydra/launcher/{name}.yaml").node
    except ConfigLoadError as error:
        raise ConfigError(f"{override}: there is no launcher of this name") from error
    plain = OmegaConf.to_container(node)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}

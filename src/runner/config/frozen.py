"""The frozen config of a run: made when it starts, read and changed in its layout later."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config import resolvers
from runner.config.resume import apply_layout_overrides
from runner.config.threads import available_threads
from runner.errors import RunError
from runner.runtime.launch import launch_of

OF_SWEEPS = ("sweep", "fresh")  # say how a sweep goes, and nothing about a run
VOLATILE = ("${hydra:", "${start:", "${now:")  # another value, or none, at the next reading


def freeze(cfg: DictConfig, *, threads: int | None = None) -> dict[str, Any]:
    """Return `cfg` as plain containers to be written down.

    Interpolations stay, so that what an environment variable stands for is not recorded; those
    whose value would be another one tomorrow are resolved. `hardware.threads`, where it is open,
    becomes `threads` (those of a run that is continued) or what there is on this machine.
    """
    frozen = freeze_open(cfg)
    hardware = frozen.get("hardware")
    if isinstance(hardware, dict) and hardware.get("threads") is None:
        hardware["threads"] = threads or available_threads(_ranks_here(cfg))
    return frozen


def freeze_open(cfg: DictConfig) -> dict[str, Any]:
    """Return `cfg` as `freeze` does, but for `hardware.threads`, which may stay open (None)."""
    frozen = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(frozen, dict)
    for node in ("hydra", *OF_SWEEPS):
        frozen.pop(node, None)
    _resolve_volatile(frozen, cfg)
    return frozen  # type: ignore[return-value]


def from_frozen(frozen: Mapping[str, Any]) -> DictConfig:
    """Return a frozen config as a config that can be validated."""
    resolvers.register()
    cfg = OmegaConf.create(dict(frozen))
    OmegaConf.set_struct(cfg, True)
    return cfg


def with_layout(frozen: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a frozen config, changed by `overrides` of layout keys; ConfigError for other keys."""
    if not overrides:
        return dict(frozen)
    cfg = from_frozen(frozen)
    apply_layout_overrides(cfg, overrides)
    return freeze_open(cfg)


def load_frozen(path: Path, overrides: Sequence[str] = ()) -> DictConfig:
    """Return the config written at `path`, changed by `overrides` of layout keys.

    Raises ConfigError naming every override that would change the result, RunError without a file.
    """
    resolvers.register()
    if not path.is_file():
        raise RunError(
            f"{path.parent} is no run: it has no {path.name} (a run's own folder is "
            "meant, such as outputs/NAME/DATE_TIME_ID)"
        )
    cfg = OmegaConf.load(path)
    assert isinstance(cfg, DictConfig)
    OmegaConf.set_struct(cfg, True)
    apply_layout_overrides(cfg, overrides)
    return cfg


def _ranks_here(cfg: DictConfig) -> int:
    """Return how many processes will share this machine, as far as runner starts them."""
    count = None
    with suppress(OmegaConfBaseException):  # told by interpolations.resolve
        count = cfg.hardware.get("num_processes")
    is_launched = launch_of() is not None  # a launcher has divided the machine already
    return count if isinstance(count, int) and count > 0 and not is_launched else 1


def _resolve_volatile(plain: Any, node: Any) -> None:
    """Replace, in `plain`, the volatile interpolations by what they are in `node` now."""
    for key, raw in list(enumerate(plain) if isinstance(plain, list) else plain.items()):
        if isinstance(raw, dict | list):
            _resolve_volatile(raw, node[key])
        elif isinstance(raw, str) and any(mark in raw for mark in VOLATILE):
            with suppress(OmegaConfBaseException):  # told by interpolations.resolve
                plain[key] = node[key]

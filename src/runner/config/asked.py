"""What a frozen config says of the machines its job needs, read without the rest of it."""

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config.frozen import from_frozen
from runner.config.options import HardwareOptions
from runner.config.validate import read_options
from runner.errors import ConfigError


def hardware_of(frozen: Mapping[str, Any]) -> tuple[HardwareOptions, int]:
    """Return the node `hardware` of a frozen config, and the workers that load data beside a rank.

    Interpolations are resolved; of an older run, which lacks keys, the rest are defaults. Raises
    ConfigError for what cannot be read.
    """
    nodes = {"hardware": frozen.get("hardware") or {}, "data": _workers(frozen)}
    if "${" in str(nodes):  # resolving costs milliseconds, and a sweep has thousands of configs
        nodes = _resolved(frozen)
    hardware = read_options(HardwareOptions, nodes["hardware"], "hardware")
    workers = nodes["data"].get("num_workers")
    return hardware, workers if isinstance(workers, int) else 0


def _workers(frozen: Mapping[str, Any]) -> dict[str, Any]:
    data = frozen.get("data")
    return {"num_workers": data.get("num_workers", 0)} if isinstance(data, Mapping) else {}


def _resolved(frozen: Mapping[str, Any]) -> dict[str, Any]:
    cfg = from_frozen(frozen)
    try:
        hardware = OmegaConf.to_container(cfg.hardware, resolve=True)
        workers = OmegaConf.select(cfg, "data.num_workers")
    except OmegaConfBaseException as error:
        raise ConfigError(f"hardware: {str(error).splitlines()[0]}") from error
    return {"hardware": hardware, "data": {"num_workers": workers}}

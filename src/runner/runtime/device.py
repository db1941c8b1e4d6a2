"""Find the device a run computes on, and move batches to it."""

from typing import Any

import torch
from torch import Tensor

from runner.config.options import HardwareOptions
from runner.errors import ConfigError


def prepare_hardware(options: HardwareOptions) -> torch.device:
    """Set the number of CPU threads and return the device; ConfigError if it is not there."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    return resolve_device(options.device)


def resolve_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" takes CUDA, else MPS, else the CPU."""
    if name == "auto":
        name = next((kind for kind in ("cuda", "mps") if _count(kind)), "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f"hardware.device={name} is no device: use auto, cpu, cuda, cuda:1 or mps"
        ) from error
    available = _count(device.type)
    if (device.index or 0) >= available:
        raise ConfigError(
            f"hardware.device={name}: this machine has {available} {device.type} device(s); "
            "use hardware=auto to take what there is"
        )
    return device


def move(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Return `batch` with its tensors on `device`; copies from pinned memory do not wait."""
    if device.type == "cpu":
        return batch
    return {
        key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for key, value in batch.items()
    }


def _count(kind: str) -> int:
    if kind == "cpu":
        return 1
    if kind == "cuda":
        return torch.cuda.device_count()
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return 0

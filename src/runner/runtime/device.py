"""Find the device a run computes on, and move batches to it."""

from typing import Any

import torch
from torch import Tensor

from runner.config.options import HardwareOptions
from runner.errors import ConfigError


def prepare_hardware(options: HardwareOptions, *, local_rank: int | None = None) -> torch.device:
    """Set the number of CPU threads and return the device; ConfigError if it is not there.

    Of several ranks the one that is `local_rank` on this machine has the GPU of that number.
    """
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if local_rank is None:
        return resolve_device(options.device)
    device = _device_of_rank(options.device, local_rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def check_devices(options: HardwareOptions, num_ranks: int) -> None:
    """Raise ConfigError if this machine has no device for each of `num_ranks` ranks."""
    _device_of_rank(options.device, num_ranks - 1)


def _device_of_rank(name: str, local_rank: int) -> torch.device:
    if name == "mps" or ":" in name:
        raise ConfigError(
            f"hardware.device={name} is one device, and several ranks need one each: "
            "use hardware=cuda or hardware=cpu, or hardware.num_processes=1"
        )
    if name == "auto":
        name = "cuda" if _count("cuda") else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if local_rank >= _count("cuda"):
        raise ConfigError(
            f"hardware.device={name}: rank {local_rank} on this machine has no GPU of its own, "
            f"there are {_count('cuda')}: start fewer ranks (hardware.num_processes), or use "
            "hardware=cpu"
        )
    return torch.device("cuda", local_rank)


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

"""Check here what a cluster will run: this machine may have other devices, and fewer of them."""

import re
from dataclasses import dataclass, replace

import torch

from runner.config.combinations import check_ranks
from runner.config.options import Options
from runner.config.run_config import RunConfig
from runner.errors import ConfigError
from runner.sweeps.slurm.resources import resources_for

_WORDS_OF_GPUS = re.compile(r"cuda|gpu|nvidia|triton", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What of a job for a GPU can be tried on a machine that has none."""

    note: str
    is_tried: bool  # on the CPU


def on_cluster(config: RunConfig) -> RunConfig:
    """Return `config` with the ranks and the device that it has there; ConfigError if it cannot."""
    resources = resources_for(config.hardware, config.loader.num_workers)
    if problems := check_ranks(config.options, resources.num_tasks):
        raise ConfigError(*problems)
    device = config.hardware.device
    if device == "auto" and resources.has_gpus:
        device = "cuda"
    hardware = replace(config.hardware, num_processes=resources.num_tasks, device=device)
    return replace(config, hardware=hardware)


def stand_in(options: Options) -> StandIn | None:
    """Return how a job of the cluster is checked that cannot be tried as it is; None if it can."""
    hardware = options.hardware
    if hardware.device_map is not None:
        return StandIn(
            note="checked as a config only: hardware.device_map is about the GPUs of the cluster",
            is_tried=False,
        )
    if not hardware.device.startswith("cuda") or torch.cuda.device_count():
        return None
    if (reason := _not_on_cpu(options)) is not None:
        note = f"checked as a config only: {reason}, and this machine has no cuda device"
        return StandIn(note=note, is_tried=False)
    return StandIn(note="checked on the CPU: this machine has no cuda device", is_tried=True)


def as_on_cpu(config: RunConfig) -> RunConfig:
    """Return `config` for the CPU of this machine."""
    return replace(
        config,
        hardware=replace(config.hardware, device="cpu"),
        precision=replace(config.precision, tf32=False),
    )


def is_about_gpus(error: BaseException) -> bool:
    """Return whether `error`, met on a CPU, may come of the GPU that is not there."""
    return bool(_WORDS_OF_GPUS.search(f"{type(error).__name__} {error}"))


def _not_on_cpu(options: Options) -> str | None:
    if options.precision.autocast == "fp16":
        return "precision=fp16 is for GPUs"
    if options.hardware.sharding is not None:
        return "hardware.sharding=fsdp spreads the model over GPUs"
    return None

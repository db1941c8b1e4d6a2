"""What a user's `accelerate.Accelerator` says, as options of a run."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from torch import distributed as dist

from runner.config.options import Options
from runner.errors import ConfigError

_FORMATS = {"no": None, "bf16": "bf16", "fp16": "fp16"}


def options_with(accelerator: Any, options: Options, written: Collection[str] = ()) -> Options:
    """Return `options` with the device and the number format of `accelerator`.

    Its ranks are those of its launcher, which runner reads where the accelerator did. Raises
    ConfigError for what cannot be taken over, with the reason, and for options that contradict it:
    those that are `written` (see `Settings`) or differ from their defaults.
    """
    device, mixed = _said(accelerator, "device"), str(_said(accelerator, "mixed_precision"))
    steps = getattr(accelerator, "gradient_accumulation_steps", 1)
    if steps != 1:
        raise ConfigError(
            f"accelerator: its gradient_accumulation_steps={steps} is not taken over, since it "
            "counts every micro-batch alike where runner weighs it by its targets: leave it out, "
            f"and give options trainer.gradient_accumulation_steps={steps}"
        )
    if mixed not in _FORMATS:
        raise ConfigError(
            f"accelerator: mixed_precision={mixed} is not supported: use no, bf16 or fp16"
        )
    _check_nothing_is_lost(accelerator)
    if options.hardware.device != "auto":  # which any device is
        _check_same("hardware.device", options.hardware.device, str(device))
    if options.precision.autocast is not None or "precision.autocast" in written:
        _check_same("precision.autocast", options.precision.autocast, _FORMATS[mixed])
    several = getattr(accelerator, "num_processes", 1) > 1
    name = device.type if several else str(device)  # each rank finds the device of its number
    return replace(
        options,
        hardware=replace(options.hardware, device=name),
        precision=replace(options.precision, autocast=_FORMATS[mixed]),
    )


def _check_nothing_is_lost(accelerator: Any) -> None:
    state = getattr(accelerator, "state", None)
    dynamo = getattr(getattr(state, "dynamo_plugin", None), "backend", "NO")
    has = {
        f"its dynamo backend {dynamo}": (
            str(dynamo).rpartition(".")[2] != "NO",
            "give options trainer.compile=true",
        ),
        "its log_with": (
            bool(getattr(accelerator, "log_with", None)),
            "give the Trainer trackers=[...]",
        ),
        "its DeepSpeed plugin": (
            getattr(state, "deepspeed_plugins", None) is not None,
            "use options hardware.sharding=fsdp",
        ),
        "its FSDP plugin": (
            getattr(state, "fsdp_plugin", None) is not None,
            "give options hardware.sharding=fsdp",
        ),
    }
    problems = [
        f"accelerator: {what} is not taken over: leave it out, and {instead}"
        for what, (is_there, instead) in has.items()
        if is_there
    ]
    if problems:
        raise ConfigError(*problems)


def leave_its_group() -> None:
    """Leave the process group that an accelerator of several ranks has opened.

    A process has one at a time; those of a run meet in a group of its own, which can fail together.
    """
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _said(accelerator: Any, name: str) -> Any:
    if not hasattr(accelerator, name):
        raise ConfigError(
            f"accelerator must be an accelerate.Accelerator, got {accelerator!r} (no {name})"
        )
    return getattr(accelerator, name)


def _check_same(key: str, asked: object, told: object) -> None:
    if asked != told and str(told).partition(":")[0] != asked:
        raise ConfigError(
            f"{key}={asked}, and the accelerator says {told}: leave one of the two out"
        )

"""One model on several devices, a part of it on each; one process drives them all.

A batch goes through the parts one after the other, so this makes room and no speed. Accelerate's
hooks move what a part is given to the part's device; it is imported only here.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from runner.errors import ConfigError, did_you_mean
from runner.runtime.blocks import containers, is_block

AUTO = "auto"
KEY = "hardware.device_map"


def spread_over_devices(
    model: nn.Module, wanted: str | Mapping[str, Any], device: torch.device
) -> torch.device:
    """Put the parts of `model` on the devices that `wanted` gives to modules; return the first.

    That is where batches begin and outputs end. "auto" fills the GPUs evenly, if `device` is one.
    The names of parameters stay. Raises ConfigError for a map that does not fit the model.
    """
    try:
        from accelerate import dispatch_model
    except ImportError as error:
        raise ConfigError(f"{KEY} needs accelerate: pip install 'runner[accelerate]'") from error
    if isinstance(wanted, str):
        places = _inferred(model, device)
    else:
        places = {name: _device(name, place) for name, place in wanted.items()}
        _check(model, places)
    main = next(iter(places.values()))
    dispatch_model(
        model,
        {name: _as_accelerate(place) for name, place in places.items()},  # type: ignore[arg-type]
        main_device=_as_accelerate(main),  # type: ignore[arg-type]
        force_hooks=True,
    )
    return main


def _device(name: str, place: Any) -> torch.device:
    text = str(place)
    device = torch.device("cuda", int(text)) if text.isdigit() else torch.device(text)
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": torch.backends.mps.is_available()}
    if (device.index or 0) >= there[device.type]:
        raise ConfigError(
            f"{KEY}.{name}={place}: this machine has {int(there[device.type])} {device.type} "
            "device(s)"
        )
    return device


def _check(model: nn.Module, places: Mapping[str, torch.device]) -> None:
    modules = dict(model.named_modules())
    for name in places:
        if name not in modules:
            raise ConfigError(
                f"{KEY}.{name} is no module of {type(model).__name__}{did_you_mean(name, modules)}"
            )
    if len({place.type for place in places.values()}) > 1:
        kinds = " and ".join(sorted({place.type for place in places.values()}))
        raise ConfigError(
            f"{KEY} names devices of kinds {kinds}: parts that wait in host memory for their turn "
            "on a GPU cannot be trained, so use devices of one kind"
        )
    homeless = [name for name in model.state_dict() if _place_of(name, places) is None]
    if homeless:
        more = f" and {len(homeless) - 3} more" if len(homeless) > 3 else ""
        raise ConfigError(
            f"{KEY} has no device for {', '.join(homeless[:3])}{more}: name a module that has them "
            '("" is the whole model)'
        )
    _check_tied(model, places)


def _check_tied(model: nn.Module, places: Mapping[str, torch.device]) -> None:
    from accelerate.utils import find_tied_parameters

    for names in find_tied_parameters(model):
        if len({_place_of(name, places) for name in names}) > 1:
            raise ConfigError(
                f"{KEY} puts {' and '.join(sorted(names))}, which are one parameter, on several "
                "devices: give both modules the same"
            )


def _place_of(name: str, places: Mapping[str, torch.device]) -> torch.device | None:
    """Return the device of the innermost module in the map that holds the parameter `name`."""
    holders = [module for module in places if not module or name.startswith(f"{module}.")]
    return places[max(holders, key=len)] if holders else None


def _inferred(model: nn.Module, device: torch.device) -> dict[str, torch.device]:
    if device.type != "cuda" or torch.cuda.device_count() == 1:
        return {"": device}
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    whole = list(getattr(model, "_no_split_modules", None) or _block_names(model))
    room = get_balanced_memory(model, no_split_module_classes=whole) or {}
    memory = {place: size for place, size in room.items() if place != "cpu"}
    found = infer_auto_device_map(model, max_memory=memory, no_split_module_classes=whole)
    places = {name: str(place) for name, place in found.items()}
    if {"cpu", "disk"} & set(places.values()):
        raise ConfigError(
            f"{KEY}=auto: {type(model).__name__} does not fit the GPUs of this machine"
        )
    return {name: _device(name, place) for name, place in places.items()}


def _block_names(model: nn.Module) -> set[str]:
    """Return the classes that a cut would go through, between what a block adds and its input."""
    members = (member for container in containers(model) for member in container)
    return {type(member).__name__ for member in members if is_block(member)}


def _as_accelerate(place: torch.device) -> int | str:
    return place.index if place.type == "cuda" else place.type

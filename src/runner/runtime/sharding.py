"""Spread a model over the ranks (FSDP2), so that no rank holds it whole.

After Zhao et al., "PyTorch FSDP" (2023), in torch's second form, `fully_shard`: each rank has a
slice of every parameter, of its gradient and of its optimizer state. A unit is gathered for its
forward and its backward pass, and let go again.

Only `shard` imports torch's part, which takes half a second that a run without it need not wait.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from runner.errors import ConfigError
from runner.runtime.ranks import Ranks


class _Sharded(Protocol):
    """What torch makes of a module that it spreads."""

    def set_requires_gradient_sync(self, requires_gradient_sync: bool) -> None: ...


def shard(model: nn.Module, ranks: Ranks, device: torch.device) -> None:
    """Spread the parameters of `model`, which is on `device`, over all ranks, in place.

    Every rank must hold the same weights: each keeps its part of its own. A unit, gathered as one,
    is a member of the outermost nn.ModuleList or nn.Sequential; what is outside them is the root's.
    Members that share a parameter with others are the root's too. Units are only whole inside their
    `forward`, and in one step all ranks must use the same. Buffers are not spread: each rank has
    its own. Raises ConfigError for what cannot be.
    """
    _check(model, ranks, device)
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    for parameter in model.parameters():
        parameter.data = parameter.data.contiguous()  # torch spreads no channels_last
    assert ranks.device_group is not None
    mesh = DeviceMesh.from_group(ranks.device_group, device.type)
    try:
        for module in [*_units(model), model]:
            module.register_forward_hook(_return_no_view)
            # The root as well: weights gathered for an evaluation would outlive the next update.
            fully_shard(module, mesh=mesh, reshard_after_forward=True)
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(f"hardware.sharding=fsdp cannot take this model: {error}") from error
    for module in [module for module in model.modules() if isinstance(module, FSDPModule)]:
        # Gathered for the first time inside torch.inference_mode, it could not be trained.
        module.unshard()
        module.reshard()


def is_sharded(model: nn.Module) -> bool:
    """Return whether `model` is spread over the ranks."""
    return any(_is_dtensor(parameter) for parameter in model.parameters())


def set_gradient_sync(model: nn.Module, *, enabled: bool) -> None:
    """Say whether the next backward passes of a sharded `model` average gradients over the ranks.

    Off for all micro-batches of a step but the last: until then each rank keeps whole gradients of
    its own, and `.grad` is None. The average is the mean over the ranks, each counting once.
    """
    cast(_Sharded, model).set_requires_gradient_sync(enabled)


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """Scale the gradients to a total norm of `max_norm` at most; return the norm there was.

    Of sharded gradients it is the norm over all ranks, which all must ask for.
    """
    return _whole(torch.nn.utils.clip_grad_norm_(parameters, max_norm))


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the total norm of the gradients and leave them as they are; on all ranks, likewise."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return _whole(torch.nn.utils.get_total_norm(gradients))


def _whole(norm: Tensor) -> Tensor:
    whole: Any = norm
    return whole.full_tensor() if _is_dtensor(norm) else norm


def _check(model: nn.Module, ranks: Ranks, device: torch.device) -> None:
    if not ranks.are_several:
        raise ConfigError(
            "hardware.sharding=fsdp spreads a model over several ranks, and there is one: set "
            "hardware.num_processes to 2 or more, or hardware.sharding=null"
        )
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(
            f"hardware.sharding=fsdp works on cpu and cuda, not on {device.type}: "
            "set hardware.device or hardware.sharding=null"
        )
    if type(model).forward is nn.Module.forward:
        raise ConfigError(
            "hardware.sharding=fsdp gathers the weights for a model's forward, and "
            f"{type(model).__name__} has no forward: set hardware.sharding=null"
        )


def _units(model: nn.Module) -> list[nn.Module]:
    """Return the members of the outermost containers that share no parameter with the rest."""
    candidates = list(dict.fromkeys(_members(model, is_member=False)))
    owners = Counter(
        id(parameter)
        for module in [*candidates, *_others(model, candidates)]
        for parameter in set(module.parameters(recurse=module in candidates))
    )
    return [
        module
        for module in candidates
        if (own := list(module.parameters())) and all(owners[id(p)] == 1 for p in own)
    ]


def _members(module: nn.Module, *, is_member: bool) -> Iterator[nn.Module]:
    has_forward = not isinstance(module, nn.ModuleList)
    if is_member and has_forward:
        yield module
        return
    is_container = isinstance(module, nn.ModuleList | nn.Sequential)
    for child in module.children():
        yield from _members(child, is_member=is_container)


def _others(model: nn.Module, units: list[nn.Module]) -> list[nn.Module]:
    """Return the modules of `model` that are not inside one of `units`."""
    inside = {module for unit in units for module in unit.modules()}
    return [module for module in model.modules() if module not in inside]


def _is_dtensor(tensor: Tensor) -> bool:
    return hasattr(tensor, "placements")


def _return_no_view(_module: nn.Module, _inputs: Any, output: Any) -> Any:
    """Copy what is a view: changed in place, it would lose the hook that gathers the weights."""

    def own(tensor: Tensor) -> Tensor:
        return tensor.clone() if tensor.requires_grad and tensor._is_view() else tensor

    return tree_map_only(Tensor, own, output)

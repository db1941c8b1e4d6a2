"""Whole tensors and this rank's part of them: what was saved unsharded goes on sharded.

Nothing here imports torch.distributed.tensor, which takes 0.4 s: a DTensor is known by its layout.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def part_of(whole: Any, *, like: Tensor) -> Any:
    """Return this rank's part of the tensor `whole`, laid out as `like` is.

    What is no tensor of the shape of `like`, or `like` not spread: `whole` itself.
    """
    if not _is_dtensor(like) or getattr(whole, "shape", None) != like.shape:
        return whole
    layout: Any = like
    (placement,) = layout.placements
    parts = whole.chunk(layout.device_mesh.size(), dim=placement.dim)
    part = torch.zeros_like(like, dtype=whole.dtype, requires_grad=False)
    if (rank := layout.device_mesh.get_local_rank()) < len(parts):
        own_memory(part).copy_(parts[rank])
    return part


def optimizer_state_parts(optimizer: Optimizer, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole `state` of such an optimizer with this rank's part of each tensor."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    parts = {
        index: {key: part_of(value, like=parameters[index]) for key, value in values.items()}
        for index, values in state["state"].items()
    }
    return {**state, "state": parts}


def own_memory(tensor: Tensor) -> Tensor:
    """Return the plain tensor of this rank's part, sharing its memory."""
    layout: Any = tensor
    return layout.to_local() if _is_dtensor(tensor) else tensor


def _is_dtensor(tensor: Tensor) -> bool:
    return hasattr(tensor, "placements")

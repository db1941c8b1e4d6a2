"""Keep the buffers that belong to the state (running means, say) those of rank 0 on all ranks."""

from collections import defaultdict

import torch
from torch import Tensor, nn

from runner.runtime.ranks import Ranks


class BufferSync:
    """Gives every rank the buffers of rank 0 after each step, as DistributedDataParallel does.

    Only those that a checkpoint holds: what is not in `state_dict` (masks, tables) is made anew by
    every job, and does not travel.
    """

    def __init__(self, model: nn.Module, ranks: Ranks) -> None:
        self._ranks = ranks
        self._groups: list[list[Tensor]] = []
        if ranks.are_several:
            saved = model.state_dict(keep_vars=True).keys()
            by_type: defaultdict[tuple[object, ...], list[Tensor]] = defaultdict(list)
            for name, buffer in model.named_buffers():
                if name in saved:
                    by_type[buffer.dtype, buffer.device].append(buffer)
            self._groups = list(by_type.values())

    @torch.no_grad()
    def __call__(self) -> None:
        """Take over the buffers of rank 0 after a forward pass; every rank calls this."""
        for buffers in self._groups:
            flat = torch.cat([buffer.reshape(-1) for buffer in buffers])
            self._ranks.spread([flat])
            parts = flat.split([buffer.numel() for buffer in buffers])
            for buffer, part in zip(buffers, parts, strict=True):
                buffer.copy_(part.view(buffer.shape))


def copy_buffers(source: nn.Module, target: nn.Module) -> None:
    """Copy the values of all buffers of `source` into those of `target`, a module like it."""
    for buffer, value in zip(target.buffers(), source.buffers(), strict=True):
        buffer.copy_(value)

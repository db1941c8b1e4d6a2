"""Keep the buffers that training changes (running means, for one) those of rank 0 on all ranks."""

import torch
from torch import Tensor, nn

from runner.runtime.ranks import Ranks


class BufferSync:
    """Gives every rank the buffers of rank 0 after each step, as DistributedDataParallel does.

    Which ones training changes is seen once, by their values after the first step of a job:
    constants (masks, tables) do not travel.
    """

    def __init__(self, model: nn.Module, ranks: Ranks) -> None:
        self._ranks = ranks
        self._buffers = dict(model.named_buffers())
        nothing_changes = not self._buffers or not ranks.are_several
        # Values, not versions: batch norm changes its running means without counting a version.
        self._before = {} if nothing_changes else _copies(self._buffers)
        self._changing: list[Tensor] | None = [] if nothing_changes else None

    def __call__(self) -> None:
        """Take over the buffers of rank 0 after a forward pass; every rank calls this."""
        if self._changing is None:
            self._changing = self._seen_changing()
        self._ranks.spread(self._changing)

    def _seen_changing(self) -> list[Tensor]:
        before, self._before = self._before, {}
        changed = [name for name, buffer in self._buffers.items() if _differ(buffer, before[name])]
        return [self._buffers[name] for name in self._ranks.share(changed)]


def copy_buffers(source: nn.Module, target: nn.Module) -> None:
    """Copy the values of all buffers of `source` into those of `target`, a module like it."""
    buffers = list(source.buffers())
    if buffers:
        torch._foreach_copy_(list(target.buffers()), buffers)  # type: ignore[attr-defined]


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _differ(first: Tensor, second: Tensor) -> bool:
    return not torch.equal(first, second)

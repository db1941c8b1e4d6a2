"""Go back to the boundary before a step that failed half-way."""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Boundary:
    """Remembers what a step changes before its update: torch's generators, and buffers.

    Weights and optimizer change in the update alone. Python's and numpy's generators are not
    remembered, which costs more than the rest of a step: what a step draws, it draws from torch.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        used = {device, *(parameter.device for parameter in model.parameters())}
        self._gpus = [gpu for gpu in used if gpu.type == "cuda"]  # several with a device map
        self._buffers = _by_type(model.buffers())
        self._kept = [[buffer.clone() for buffer in group] for group in self._buffers]
        self._state_of_host = torch.default_generator.get_state
        self._host = self._state_of_host()
        self._cuda: list[Tensor] = []

    def mark(self) -> None:
        """Remember this boundary; takes a microsecond, and more with buffers."""
        self._host = self._state_of_host()
        if self._gpus:
            self._cuda = [torch.cuda.get_rng_state(gpu) for gpu in self._gpus]
        for kept, buffers in zip(self._kept, self._buffers, strict=True):
            torch._foreach_copy_(kept, buffers)  # type: ignore[attr-defined]

    @torch.no_grad()
    def go_back(self) -> None:
        """Be where `mark` was called last."""
        torch.set_rng_state(self._host)
        for gpu, state in zip(self._gpus, self._cuda, strict=False):  # no state before `mark`
            torch.cuda.set_rng_state(state, gpu)
        for kept, buffers in zip(self._kept, self._buffers, strict=True):
            torch._foreach_copy_(buffers, kept)  # type: ignore[attr-defined]

    @torch.no_grad()
    def put_back_buffers(self, wanted: Tensor) -> None:
        """Put the buffers back if `wanted` is 1 and not if it is 0, without reading it."""
        for kept_ones, buffers in zip(self._kept, self._buffers, strict=True):
            for kept, buffer in zip(kept_ones, buffers, strict=True):
                buffer.copy_(torch.where(wanted.bool(), kept, buffer))


def _by_type(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Return the tensors in groups of one type each, which are copied at once."""
    groups: defaultdict[torch.dtype, list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        groups[tensor.dtype].append(tensor)
    return list(groups.values())

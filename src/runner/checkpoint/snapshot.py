"""Copies of the state in host memory: training goes on while they are written.

The memory is kept and filled again by the next snapshot, so that taking one costs a copy and no
allocation; for a GPU it is pinned and the copy runs beside the host.
"""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All that a checkpoint holds.

    `training` is the same on all ranks, `ranks` holds what is each rank's own, in their order;
    `average` are averaged weights, if there are any. `num_bytes` is what the tensors take.
    """

    weights: Tensors | None  # None: spread over the ranks, which write their parts themselves
    training: dict[str, Any]
    ranks: list[dict[str, Any]] = field(default_factory=list)
    average: Tensors | None = None
    num_bytes: int = 0


class HostBuffers:
    """Host memory for one snapshot at a time: `copy` overwrites what the last one returned."""

    def __init__(self) -> None:
        self._used: defaultdict[tuple[Any, ...], deque[Tensor]] = defaultdict(deque)
        self._free = self._used
        self._copies: dict[tuple[Any, ...], Tensor] = {}
        self._arrivals: Sequence[torch.Event] = []
        self.num_bytes = 0  # of the last copy

    def copy(self, tree: Any) -> Any:
        """Return nested containers like `tree`, with every tensor in host memory.

        Tensors that share their memory as a whole (tied weights) share it in the copy. Values that
        come from a GPU are there once `wait` has returned.
        """
        self._free, self._used = self._used, defaultdict(deque)
        self._copies.clear()
        self.num_bytes = 0
        try:
            copied = self._copied(tree)
        finally:
            self._free = defaultdict(deque)  # what this state has no use for any more
        cuda = {key[0] for key in self._copies if key[0].type == "cuda"}
        self._arrivals = [torch.cuda.current_stream(device).record_event() for device in cuda]
        return copied

    def wait(self) -> None:
        """Wait until the copies from GPUs have arrived."""
        for event in self._arrivals:
            event.synchronize()

    def _copied(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._copied_tensor(value.detach())
        if type(value) in (dict, OrderedDict):
            return type(value)((key, self._copied(inner)) for key, inner in value.items())
        if type(value) in (list, tuple):
            return type(value)(self._copied(inner) for inner in value)
        return deepcopy(value)

    def _copied_tensor(self, tensor: Tensor) -> Tensor:
        place = (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and place in self._copies:
            return self._copies[place]
        host = self._buffer_for(tensor)
        host.copy_(tensor, non_blocking=tensor.is_cuda)
        self.num_bytes += host.nbytes
        self._copies[place] = host
        return host

    def _buffer_for(self, tensor: Tensor) -> Tensor:
        """Return memory of the same layout, an old one if there is one."""
        kind = (tensor.is_cuda, tensor.dtype, tensor.shape, tensor.stride())
        free = self._free[kind]
        if free:
            buffer = free.popleft()
        else:
            buffer = torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)
        self._used[kind].append(buffer)
        return buffer

"""Go back to the boundary before a step that failed half-way."""

import torch
from torch import Tensor, nn


class Boundary:
    """Remembers what a step changes before its update: torch's generators, and buffers.

    Weights and optimizer change in the update alone. Python's and numpy's generators are not
    remembered, which costs more than the rest of a step: what a step draws, it draws from torch.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self._device = device if device.type == "cuda" else None
        self._buffers = list(model.buffers())
        self._kept: list[Tensor] = [buffer.clone() for buffer in self._buffers]
        self._state_of_host = torch.default_generator.get_state
        self._host = self._state_of_host()
        self._cuda: Tensor | None = None

    def mark(self) -> None:
        """Remember this boundary; takes a microsecond, and more with buffers."""
        self._host = self._state_of_host()
        if self._device is not None:
            self._cuda = torch.cuda.get_rng_state(self._device)
        if self._buffers:
            torch._foreach_copy_(self._kept, self._buffers)  # type: ignore[attr-defined]

    @torch.no_grad()
    def go_back(self) -> None:
        """Be where `mark` was called last."""
        torch.set_rng_state(self._host)
        if self._device is not None and self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)
        for buffer, kept in zip(self._buffers, self._kept, strict=True):
            buffer.copy_(kept)

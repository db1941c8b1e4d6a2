"""`Draws`: random numbers for a micro-batch that are the same for any number of ranks."""

import torch
from torch import Tensor


class Draws:
    """Random numbers for each sample of a micro-batch.

    They are drawn for the samples of all ranks, and this rank takes those of its part: a sample
    meets the same numbers on whatever rank it is. Everything is drawn on the host.
    """

    def __init__(self, generator: torch.Generator, size: int, part: slice) -> None:
        self._generator = generator
        self._size = size
        self._part = part
        self._is_whole = part == slice(0, size)

    def uniform(self, *shape: int) -> Tensor:
        """Return numbers between 0 and 1, (batch, *shape)."""
        return self._own(torch.rand(self._size, *shape, generator=self._generator))

    def normal(self, *shape: int) -> Tensor:
        """Return numbers of mean 0 and deviation 1, (batch, *shape)."""
        return self._own(torch.randn(self._size, *shape, generator=self._generator))

    def integers(self, high: int, *shape: int) -> Tensor:
        """Return whole numbers from 0 to `high` - 1, (batch, *shape)."""
        return self._own(torch.randint(high, (self._size, *shape), generator=self._generator))

    def once(self) -> float:
        """Return one number between 0 and 1 for the whole batch, the same on every rank."""
        return float(torch.rand(1, generator=self._generator).numpy()[0])

    def _own(self, drawn: Tensor) -> Tensor:
        return drawn if self._is_whole else drawn[self._part]

"""Iterable datasets for tests, at module level so that workers can be given them."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Numbers:
    """The numbers 0, 1, ... of one shard of `lengths`, with noise of all three generators."""

    def __init__(self, *lengths: int) -> None:
        self.lengths = lengths
        self.first = 0
        self.position = 0
        self.epoch = 0

    @property
    def num_shards(self) -> int:
        return len(self.lengths)

    def shard(self, num_shards: int, index: int) -> "Numbers":
        assert num_shards == len(self.lengths)
        part = type(self)(self.lengths[index])
        part.first = 100 * index
        return part

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor]:
        while self.position < self.lengths[0]:
            noise = [random.random(), np.random.rand(), torch.rand(()).item()]
            number = self.first + self.position
            self.position += 1
            yield torch.tensor([number, self.epoch, *noise])
        self.position = 0

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]


class OwnIterator(Numbers):
    """A dataset that is its own iterator, and begins at the beginning when asked for one."""

    def __iter__(self) -> "OwnIterator":  # type: ignore[override]
        self.position = 0
        return self

    def __next__(self) -> Tensor:
        if self.position == self.lengths[0]:
            raise StopIteration
        self.position += 1
        return torch.tensor([float(self.position), torch.rand(()).item()])


class SharesItselfOut(Numbers):
    """Gives each worker some of the samples, as torch's documentation has it."""

    def __iter__(self) -> Iterator[Tensor]:
        info = torch.utils.data.get_worker_info()
        yield from (s for n, s in enumerate(super().__iter__()) if info is None or n % 2 == info.id)


class Odd(Numbers):
    """Its state cannot be given back by a checkpoint."""

    def state_dict(self) -> dict[str, Any]:
        return {"position": np.int64(self.position)}


class Samples(Numbers):
    """Noisy samples of three classes."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:  # type: ignore[override]
        for sample in super().__iter__():
            number = int(sample[0])
            generator = torch.Generator().manual_seed(number)
            yield torch.randn(8, generator=generator) + sample[2], torch.tensor(number % 3)


class Stateless:
    """Samples without a state."""

    def __iter__(self) -> Iterator[Tensor]:
        return iter(())

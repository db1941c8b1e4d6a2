"""In which order samples are seen: a function of (seed, epoch, position) and of nothing else.

Neither the number of workers nor the place where a run was cut changes it, and finding the place
again costs the same at any depth: the batches before it are never made.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler

from runner.data.epoch import Share, share_of
from runner.data.sampler import SampledOrder
from runner.runtime.seeds import seeded_generator

_ORDER = 0x6F72646572  # keeps the stream of the order apart from those of the samples

SampleKey = tuple[int, int]  # (epoch, index)


def epoch_order(*, seed: int, epoch: int, length: int, shuffle: bool) -> Sequence[int]:
    """Return the indices of one epoch in the order in which they are seen."""
    if not shuffle:
        return range(length)
    return torch.randperm(length, generator=seeded_generator(_ORDER, seed, epoch)).tolist()


class BatchOrder(Sampler[list[Any]]):
    """The micro-batches of one epoch, from any position on.

    `start_at` chooses the epoch and the first micro-batch of the next iteration; the object can so
    be used epoch after epoch by one loader, whose workers then live on. A sample is named by its
    index, or with `with_epoch` by (epoch, index), from which its random numbers come. Only the
    samples of one rank are named. A `sampled` order takes the place of `length` and `shuffle`.
    """

    def __init__(
        self,
        *,
        length: int = 0,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        sampled: SampledOrder | None = None,
        drop_last: bool = False,
        max_batches: int = 0,
        with_epoch: bool = False,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        self._length = length = length if sampled is None else sampled.length
        self._sampled = sampled
        self._indices: Sequence[int] = ()  # of the epoch, if sampled
        self._with_epoch = with_epoch
        self._batch_size = batch_size
        self._seed = seed
        self._shuffle = shuffle
        whole, rest = divmod(length, batch_size)
        self._num_batches = whole + (rest > 0 and not drop_last)
        if max_batches:
            self._num_batches = min(self._num_batches, max_batches)
        self._rank, self._num_ranks = rank, num_ranks
        self._whole_share = share_of(batch_size, rank=rank, num_ranks=num_ranks)
        self._epoch = 0
        self._first_batch = 0

    def __len__(self) -> int:
        """Return the number of micro-batches of a whole epoch."""
        return self._num_batches

    def share_of(self, batch: int) -> Share:
        """Return what this rank has of micro-batch number `batch`."""
        left = self._length - batch * self._batch_size
        if left >= self._batch_size:
            return self._whole_share
        return share_of(left, rank=self._rank, num_ranks=self._num_ranks)

    def start_at(self, epoch: int, batch: int, state: dict[str, Any] | None = None) -> None:
        """Let the next iteration give epoch `epoch` from micro-batch `batch` on.

        `state` is what `state_dict` gave in that epoch, or before it.
        """
        self._epoch, self._first_batch = epoch, batch
        if self._sampled is not None:
            self._indices = self._sampled.indices(epoch, state)

    def state_dict(self, *, is_over: bool) -> dict[str, Any]:
        """Return what `start_at` needs to begin in this epoch, or after it if it `is_over`."""
        return {} if self._sampled is None else self._sampled.state_dict(is_over=is_over)

    def __iter__(self) -> Iterator[list[Any]]:
        epoch = self._epoch
        order = self._indices
        if self._sampled is None:
            order = epoch_order(
                seed=self._seed, epoch=epoch, length=self._length, shuffle=self._shuffle
            )
        for batch in range(self._first_batch, self._num_batches):
            start, part = batch * self._batch_size, self.share_of(batch).part
            indices = order[start + part.start : start + part.stop]
            yield [(epoch, index) for index in indices] if self._with_epoch else list(indices)

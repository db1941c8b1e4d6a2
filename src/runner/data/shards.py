"""Reading an iterable dataset: each of its shards from any place, in micro-batches of its own.

This is the part that runs where the batches are made, in the training process or in a worker.
"""

import copy
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

from torch.utils.data import Dataset
from torch.utils.data._utils import worker as torch_worker

from runner.data.data import Stream
from runner.data.epoch import MicroBatch, share_of
from runner.data.restorable import check_restorable
from runner.runtime.seeds import preserved_cpu_generators, seed_sample


class Place(NamedTuple):
    """Where reading stands in one shard."""

    state: bytes | None = None  # the dataset's own state, pickled; None: at the beginning
    number: int = 0  # samples read so far
    is_over: bool = False


class Request(NamedTuple):
    """Ask for the next micro-batch of a shard, which begins at `place` if that is given."""

    epoch: int
    shard: int
    place: Place | None


class Answer(NamedTuple):
    """A micro-batch, and where its shard stands after it."""

    micro_batch: MicroBatch
    place: Place


class Shards(Dataset[Any]):
    """The shards of an iterable dataset, those asked for open side by side."""

    def __init__(
        self,
        dataset: Stream,
        *,
        num_shards: int,
        batch_size: int,
        drop_last: bool,
        seed: int | None,
        collate: Callable[[list[Any]], Any],
        rank: int,
        num_ranks: int,
    ) -> None:
        self._num_shards = num_shards
        self._dataset = dataset
        self._batch_size = batch_size
        self._drop_last = drop_last
        self._seed = seed
        self._collate = collate
        self._rank, self._num_ranks = rank, num_ranks
        self._readers: dict[int, _Reader | None] = {}
        self._is_state_checked = False

    def __getitems__(self, requests: list[Request]) -> Answer | None:
        """Return what one request asks for; None if its shard is over."""
        ((epoch, shard, place),) = requests
        with preserved_cpu_generators():
            if place is not None:
                self._readers[shard] = None if place.is_over else self._open(epoch, shard, place)
            reader = self._readers[shard]
            answer = None if reader is None else self._answer_of(reader)
        if answer is None or answer.place.is_over:
            self._readers[shard] = None
        return answer

    def _open(self, epoch: int, shard: int, place: Place) -> "_Reader":
        # A dataset that shares itself out among workers shall not: its shards are, here.
        torch_worker._worker_info = None
        # Never the dataset itself: the next epoch begins with it as it was given.
        if hasattr(self._dataset, "shard"):
            part = self._dataset.shard(num_shards=self._num_shards, index=shard)  # type: ignore[attr-defined]
        else:
            part = copy.copy(self._dataset)
        seeds = None if self._seed is None else (self._seed, epoch, shard)
        return _Reader(part, epoch, place, seeds)

    def _answer_of(self, reader: "_Reader") -> Answer | None:
        samples = reader.read(self._batch_size)
        if not samples or (self._drop_last and len(samples) < self._batch_size):
            return None
        share = share_of(len(samples), rank=self._rank, num_ranks=self._num_ranks)
        place = reader.place()
        if place.state is not None and not self._is_state_checked:
            check_restorable(pickle.loads(place.state), "the iterable dataset")
            self._is_state_checked = True
        return Answer(MicroBatch(self._collate(samples[share.part]), *share), place)


class _Reader:
    """One shard being read, whose every sample is made from random numbers of its own."""

    def __init__(
        self, dataset: Any, epoch: int, place: Place, seeds: tuple[int, int, int] | None
    ) -> None:
        self._dataset = dataset
        self._seeds = seeds
        self._number = place.number
        self._is_over = False
        if seeds is not None:
            seed_sample(*seeds)
        if hasattr(dataset, "set_epoch"):
            dataset.set_epoch(epoch)
        state = None if place.state is None else pickle.loads(place.state)
        is_its_own_iterator = hasattr(dataset, "__next__")  # `__iter__` may set it back
        if state is not None and not is_its_own_iterator:
            dataset.load_state_dict(state)
        self._samples = iter(dataset)
        if state is not None and is_its_own_iterator:
            dataset.load_state_dict(state)

    def read(self, count: int) -> list[Any]:
        """Return the next `count` samples; fewer when the shard is over."""
        samples = []
        while len(samples) < count and not self._is_over:
            if self._seeds is not None:
                seed_sample(*self._seeds, self._number)
            try:
                samples.append(next(self._samples))
            except StopIteration:
                self._is_over = True
            else:
                self._number += 1
        return samples

    def place(self) -> Place:
        """Return where reading stands: at the last sample, not beyond the end of the shard."""
        if self._is_over or not hasattr(self._dataset, "state_dict"):
            return Place(None, self._number, self._is_over)
        return Place(pickle.dumps(self._dataset.state_dict()), self._number)

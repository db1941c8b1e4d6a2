"""The batches of a map-style dataset, from any position, by this process or by workers."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Dataset, TensorDataset, default_collate

from runner.data.data import Collate, MapDataset, is_deterministic
from runner.data.epoch import MicroBatch
from runner.data.lengths import Lengths
from runner.data.order import BatchOrder, SampleKey
from runner.data.workers import batches_of, data_loader, end_workers
from runner.runtime.seeds import preserved_cpu_generators, seed_sample


class MapLoader:
    """The micro-batches of a dataset in a reproducible order."""

    reads_ahead = False

    def __init__(
        self,
        dataset: MapDataset,
        order: BatchOrder,
        *,
        seed: int,
        num_workers: int,
        collate: Collate | None,
        pin_memory: bool,
    ) -> None:
        self._order = order
        if type(dataset) is TensorDataset and collate is None:
            samples, collate = _Tensors(dataset), _as_it_is
        else:
            samples = _Plain(dataset) if is_deterministic(dataset) else _Seeded(dataset, seed)
        self._samples = samples
        self._collate = collate or default_collate
        self._loader = None
        if num_workers or pin_memory:
            self._loader = data_loader(
                samples,
                batch_sampler=order,
                collate_fn=self._collate,
                num_workers=num_workers,
                pin_memory=pin_memory,
            )

    @property
    def lengths(self) -> Lengths:
        """Return the same for every epoch."""
        return Lengths(self.num_batches)

    @property
    def num_batches(self) -> int:
        """Return the number of micro-batches of a whole epoch."""
        return len(self._order)

    def epoch(self, number: int, start: int = 0, state: dict[str, Any] | None = None) -> "MapEpoch":
        """Return epoch `number` from micro-batch `start` on; `state` is that of a sampler."""
        self._order.start_at(number, start, state)
        contents = self._made_here() if self._loader is None else batches_of(self._loader)
        return MapEpoch(contents, self._order, start)

    def close(self) -> None:
        """End the workers; the next epoch starts new ones."""
        if self._loader is not None:
            end_workers(self._loader)

    def _made_here(self) -> Iterator[Any]:
        """Yield batches made when asked for, as a DataLoader without workers does at more cost."""
        fetch, collate = self._samples.__getitems__, self._collate
        for names in self._order:
            yield collate(fetch(names))


class MapEpoch:
    """An `Epoch` of which the number of micro-batches is known."""

    def __init__(self, contents: Iterator[Any], order: BatchOrder, start: int) -> None:
        self._contents = contents
        self._order = order
        self._next = start
        self._num_batches = len(order)

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left."""
        return self._next >= self._num_batches

    def take(self, count: int) -> list[MicroBatch]:
        """Return the next `count` micro-batches; fewer, but one at least, at the end."""
        first, self._next = self._next, min(self._next + count, self._num_batches)
        taken = []
        for number in range(first, self._next):
            size, part, counts = self._order.share_of(number)
            taken.append(MicroBatch(next(self._contents), size, part, counts))
        return taken

    def end(self) -> None:
        """Let nothing be left."""
        self._next = self._num_batches

    def state_dict(self) -> dict[str, Any]:
        """Return nothing but the state of a sampler: the number of batches taken says the rest."""
        return self._order.state_dict(is_over=self.is_over)


class _Tensors(Dataset[Any]):
    """Tensors of which a batch is taken at once: the same values as row by row, much sooner."""

    def __init__(self, dataset: TensorDataset) -> None:
        self._tensors = dataset.tensors

    def __getitems__(self, indices: list[int]) -> list[Any]:
        wanted = torch.tensor(indices)
        return [tensor[wanted] for tensor in self._tensors]


def _as_it_is(batch: list[Any]) -> list[Any]:
    return batch


class _Plain(Dataset[Any]):
    """A dataset that needs no random numbers."""

    def __init__(self, dataset: MapDataset) -> None:
        self._dataset = dataset

    def __getitems__(self, indices: list[int]) -> list[Any]:
        dataset = self._dataset
        return [dataset[index] for index in indices]


class _Seeded(Dataset[Any]):
    """A dataset asked by (epoch, index), whose every sample is made from numbers of its own."""

    def __init__(self, dataset: MapDataset, seed: int) -> None:
        self._dataset = dataset
        self._seed = seed

    def __getitems__(self, keys: list[SampleKey]) -> list[Any]:
        samples = []
        with preserved_cpu_generators():
            for epoch, index in keys:
                seed_sample(self._seed, epoch, index)
                samples.append(self._dataset[index])
        return samples

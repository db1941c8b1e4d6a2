"""Loaders: the batches of a split, from any position, by this process or by workers."""

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate

from runner.config.options import LoaderOptions
from runner.data.data import MapDataset, is_deterministic
from runner.data.order import BatchOrder, SampleKey
from runner.errors import DataError
from runner.runtime.seeds import preserved_cpu_generators, seed_sample
from runner.runtime.signals import become_a_child, held_back_from_children

Collate = Callable[[list[Any]], Any]


class Loader:
    """Batches of one dataset in a reproducible order."""

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
        collate = collate or default_collate
        if num_workers or pin_memory:
            self._source = _WithDataLoader(samples, order, num_workers, collate, pin_memory)
        else:
            self._source = _InProcess(samples, order, collate)

    def __len__(self) -> int:
        """Return the number of micro-batches of a whole epoch."""
        return len(self._order)

    def batches(self, *, epoch: int = 0, start: int = 0) -> Iterator[Any]:
        """Yield the micro-batches of epoch `epoch` from number `start` on."""
        self._order.start_at(epoch, start)
        return iter(self._source)


def train_loader(
    dataset: MapDataset,
    options: LoaderOptions,
    *,
    seed: int,
    collate: Collate | None,
    pin_memory: bool,
    max_batches: int = 0,
) -> Loader:
    """Return the loader of the training split; `max_batches` shortens every epoch (0: whole)."""
    order = BatchOrder(
        length=len(dataset),
        batch_size=options.batch_size,
        seed=seed,
        shuffle=options.shuffle,
        drop_last=options.drop_last,
        max_batches=max_batches,
        with_epoch=not is_deterministic(dataset),
    )
    return Loader(
        dataset,
        order,
        seed=seed,
        num_workers=options.num_workers,
        collate=collate,
        pin_memory=pin_memory,
    )


def evaluation_loader(
    dataset: MapDataset,
    options: LoaderOptions,
    *,
    seed: int,
    collate: Collate | None,
    pin_memory: bool,
    max_batches: int = 0,
) -> Loader:
    """Return a loader that gives every sample of `dataset` once, in its own order."""
    order = BatchOrder(
        length=len(dataset),
        batch_size=options.evaluation_batch_size or options.batch_size,
        max_batches=max_batches,
        with_epoch=not is_deterministic(dataset),
    )
    return Loader(
        dataset,
        order,
        seed=seed,
        num_workers=options.num_workers,
        collate=collate,
        pin_memory=pin_memory,
    )


class _InProcess:
    """Makes batches when asked for them, as a DataLoader without workers does, at less cost."""

    def __init__(self, samples: "_Samples", order: BatchOrder, collate: Collate) -> None:
        self._samples = samples
        self._order = order
        self._collate = collate

    def __iter__(self) -> Iterator[Any]:
        fetch, collate = self._samples.__getitems__, self._collate
        for names in self._order:
            yield collate(fetch(names))


class _WithDataLoader:
    """Batches made by workers, which live on from epoch to epoch, or in pinned memory."""

    def __init__(
        self,
        samples: "_Samples",
        order: BatchOrder,
        num_workers: int,
        collate: Collate,
        pin_memory: bool,
    ) -> None:
        self._loader = DataLoader(
            samples,
            batch_sampler=order,
            collate_fn=collate,
            num_workers=num_workers,
            worker_init_fn=_become_a_worker,
            persistent_workers=num_workers > 0,
            pin_memory=pin_memory,
            # Not fork: other threads are alive. Its own generator: else each iteration would take
            # a number from the one that dropout uses.
            multiprocessing_context=_worker_context() if num_workers else None,
            generator=torch.Generator(),
        )

    def __iter__(self) -> Iterator[Any]:
        with held_back_from_children():
            batches = iter(self._loader)
        return _told_plainly(batches)


def _told_plainly(batches: Iterator[Any]) -> Iterator[Any]:
    """Yield `batches`; a DataError from a worker comes with the worker's traceback as its text."""
    try:
        yield from batches
    except DataError as error:
        raise DataError(str(error).rpartition("DataError: ")[2].strip()) from error


def _become_a_worker(_: int) -> None:
    become_a_child()


def _worker_context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])  # a worker then starts in milliseconds
    return context


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


_Samples = _Tensors | _Plain | _Seeded

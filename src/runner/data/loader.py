"""Loaders: the micro-batches of a split, from any position, as the part of one rank."""

from dataclasses import replace
from typing import Any, NotRequired, Protocol, TypedDict, Unpack

from torch.utils.data import Sampler

from runner.config.options import LoaderOptions
from runner.data.batches import Batches, BatchesLoader
from runner.data.collate import own_collate
from runner.data.curriculum import Curriculum, CurriculumLoader, passes_of
from runner.data.data import Collate, Dataset, MapDataset, is_deterministic, is_map_style
from runner.data.epoch import Epoch
from runner.data.lengths import Lengths
from runner.data.map_style import MapLoader
from runner.data.order import BatchOrder
from runner.data.sampler import SampledOrder
from runner.data.stream import StreamLoader
from runner.errors import ConfigError


class Loader(Protocol):
    """The micro-batches of one dataset in a reproducible order."""

    @property
    def reads_ahead(self) -> bool:
        """Return whether an epoch's state has to be kept before it is asked whether it is over."""
        ...

    @property
    def num_batches(self) -> int | None:
        """Return the micro-batches of the first epoch; None if only reading tells them."""
        ...

    @property
    def lengths(self) -> Lengths | None:
        """Return the same for every epoch."""
        ...

    def epoch(self, number: int, start: int = 0, state: dict[str, Any] | None = None) -> Epoch:
        """Return epoch `number` from micro-batch `start` on; `state` is what `Epoch` gave there.

        Only one epoch is read at a time: an earlier one ends.
        """
        ...

    def close(self) -> None:
        """End the workers; the next epoch starts new ones."""
        ...


class Surroundings(TypedDict):
    """What loading depends on besides the dataset and the options of the loader."""

    seed: int
    collate: Collate | None
    pin_memory: bool
    max_batches: NotRequired[int]  # shortens every epoch (0: whole)
    sampler: NotRequired[Sampler[int] | None]  # of a map-style dataset
    rank: NotRequired[int]
    num_ranks: NotRequired[int]
    accumulation: NotRequired[int]  # micro-batches of a step


def train_loader(
    dataset: Dataset, options: LoaderOptions, **surroundings: Unpack[Surroundings]
) -> Loader:
    """Return the loader of the training split; ConfigError if the ranks do not divide a batch."""
    num_ranks = surroundings.get("num_ranks", 1)
    if options.batch_size % num_ranks:
        below = options.batch_size // num_ranks * num_ranks
        nearest = " or ".join(str(size) for size in (below, below + num_ranks) if size)
        raise ConfigError(
            f"data.batch_size={options.batch_size} is shared out among {num_ranks} ranks "
            f"(hardware.num_processes), which do not divide it: try {nearest}"
        )
    return _loader(dataset, options, **surroundings)


def evaluation_loader(
    dataset: Dataset, options: LoaderOptions, **surroundings: Unpack[Surroundings]
) -> Loader:
    """Return a loader that gives every sample of `dataset` once, in its own order."""
    size = options.evaluation_batch_size or options.batch_size
    whole = replace(options, batch_size=size, shuffle=False, drop_last=False)
    return _loader(dataset, whole, **surroundings)


def _loader(
    dataset: Dataset,
    options: LoaderOptions,
    *,
    seed: int,
    collate: Collate | None,
    pin_memory: bool,
    max_batches: int = 0,
    sampler: Sampler[int] | None = None,
    rank: int = 0,
    num_ranks: int = 1,
    accumulation: int = 1,
) -> Loader:
    def map_loader(part: MapDataset, limit: int) -> MapLoader:
        order = BatchOrder(
            length=len(part),
            sampled=None if sampler is None else SampledOrder(sampler, seed=seed),
            batch_size=options.batch_size,
            seed=seed,
            shuffle=options.shuffle,
            drop_last=options.drop_last,
            max_batches=limit,
            with_epoch=not is_deterministic(part),
            rank=rank,
            num_ranks=num_ranks,
        )
        return MapLoader(
            part,
            order,
            seed=seed,
            num_workers=options.num_workers,
            collate=collate or own_collate(part),
            pin_memory=pin_memory,
        )

    if isinstance(dataset, Batches):
        return BatchesLoader(dataset, seed=seed, max_batches=max_batches)
    if isinstance(dataset, Curriculum):
        passes = passes_of(dataset, options, accumulation=accumulation, max_batches=max_batches)
        return CurriculumLoader(
            [(part.num_epochs, map_loader(part.dataset, part.max_batches)) for part in passes]
        )
    if is_map_style(dataset):
        return map_loader(dataset, max_batches)
    return StreamLoader(
        dataset,  # type: ignore[arg-type]
        options,
        seed=seed,
        collate=collate,
        pin_memory=pin_memory,
        max_batches=max_batches,
        rank=rank,
        num_ranks=num_ranks,
    )

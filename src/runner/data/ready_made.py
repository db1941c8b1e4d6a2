"""Take ready-made loaders apart: their datasets and settings, read in an order that is ours.

A torch DataLoader does not know its place, and its order comes from generators that no checkpoint
holds. What it is made of says all that is needed to read the same samples in a reproducible order.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
)

from runner.config.options import LoaderOptions
from runner.data.batches import Batches
from runner.data.collate import the_only_one
from runner.data.data import Data, in_split, is_map_style
from runner.errors import DataError

Batching = DataLoader[Any] | Iterable[Any]  # a DataLoader, or anything that gives batches

_log = logging.getLogger(__name__)


def from_loaders(
    train: Batching,
    *,
    evaluation: Batching | Mapping[str, Batching] | None = None,
    test: Batching | Mapping[str, Batching] | None = None,
    inexact: bool = False,
) -> tuple[Data, LoaderOptions]:
    """Return the data of these loaders, and the options under which runner reads them.

    Dataset, batch size, collate function, `drop_last`, workers and whether and how samples are
    drawn are those of the DataLoader; the order comes from the run's seed, and so does the
    randomness of each sample: `generator` and `worker_init_fn` are not used. Evaluation and test
    are read whole, each in its own order, in batches of one size. A DataLoader with an order that
    cannot be known raises DataError; so does another iterable of batches to train on that has no
    state, unless it is said to be `inexact` (see `Batches`).
    """
    loaders = Data(train=train, evaluation=evaluation, test=test).splits()  # type: ignore[arg-type]
    pieces = {name: _taken_apart(each, name, inexact=inexact) for name, each in loaders.items()}

    def datasets(split: str) -> Any:
        of = in_split(pieces, split)
        found = {own: pieces[name].dataset for own, name in of.items()}
        return found.get("", found or None)

    collate = {name: piece.collate for name, piece in pieces.items() if piece.collate is not None}
    data = Data(
        train=pieces["train"].dataset,
        evaluation=datasets("evaluation"),
        test=datasets("test"),
        collate=collate or None,
        sampler=pieces["train"].sampler,
    )
    return data, _options(pieces)


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """What one loader is made of; `loader` is None if it gives batches and has no settings."""

    dataset: Any
    loader: DataLoader[Any] | None = None
    collate: Any = None
    is_shuffled: bool = False
    sampler: Sampler[int] | None = None

    @property
    def batch_size(self) -> int:
        return 1 if self.loader is None else self.loader.batch_size or 1


def _taken_apart(loader: Any, name: str, *, inexact: bool) -> _Piece:
    # A subclass that iterates in a way of its own is more than what it is made of.
    if not isinstance(loader, DataLoader) or type(loader).__iter__ is not DataLoader.__iter__:
        return _Piece(dataset=Batches(loader, inexact=inexact))
    _tell_what_is_not_used(loader, name)
    found = _Piece(dataset=loader.dataset, loader=loader, collate=_collate_of(loader))
    if not is_map_style(loader.dataset):  # type: ignore[arg-type]
        return found
    if type(loader.batch_sampler) is not BatchSampler and loader.batch_sampler is not None:
        raise DataError(
            f"data.{name}: the DataLoader has {type(loader.batch_sampler).__qualname__} as its "
            "batch_sampler, whose place in the data cannot be saved: give it "
            "batch_size and a sampler instead"
        )
    sampler: Any = loader.sampler
    if type(sampler) is SubsetRandomSampler:
        dataset: Any = loader.dataset
        return replace(found, dataset=Subset(dataset, list(sampler.indices)), is_shuffled=True)
    if type(sampler) is SequentialSampler:
        return found
    if type(sampler) is RandomSampler and not _draws_otherwise(sampler, loader.dataset):
        return replace(found, is_shuffled=True)
    if name == "train":
        return replace(found, sampler=sampler)
    raise DataError(
        f"data.{name}: its sampler {type(sampler).__qualname__} need not give every sample once, "
        "as an evaluation does: leave the sampler out, or give a dataset of the wanted samples"
    )


def _draws_otherwise(sampler: RandomSampler, dataset: Any) -> bool:
    return sampler.replacement or sampler.num_samples != len(dataset)


def _collate_of(loader: DataLoader[Any]) -> Any:
    if loader.batch_size is None and loader.batch_sampler is None:  # each sample is a batch
        return [the_only_one, loader.collate_fn]
    return loader.collate_fn


def _tell_what_is_not_used(loader: DataLoader[Any], name: str) -> None:
    if loader.worker_init_fn is not None:
        _log.warning(
            "data.%s: worker_init_fn of the DataLoader is not called: runner seeds every sample "
            "itself; let the dataset prepare at its first sample whatever else a worker needs",
            name,
        )
    if loader.generator is not None:
        _log.info("data.%s: the order comes from the seed of the run, not from generator", name)
    if loader.drop_last and name != "train":
        _log.info("data.%s: drop_last has no effect: an evaluation sees every sample", name)


def _options(pieces: Mapping[str, _Piece]) -> LoaderOptions:
    """Return one set of options for all; sizes of batches do not change what is evaluated."""
    train = pieces["train"]
    loaders = [piece.loader for piece in pieces.values() if piece.loader is not None]
    options = LoaderOptions()
    if not loaders:
        return options
    sizes = [p.batch_size for name, p in pieces.items() if p.loader is not None and name != "train"]
    if train.loader is not None:
        options = replace(
            options,
            batch_size=train.batch_size,
            shuffle=train.is_shuffled,
            drop_last=train.loader.drop_last,
        )
    return replace(
        options,
        evaluation_batch_size=min(sizes, default=None),
        num_workers=loaders[0].num_workers,
    )

"""Data from what a user has in hand: `Data`, a dataset, a DataLoader, or those by split."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from torch.utils.data import DataLoader

from runner.config.options import LoaderOptions, Options
from runner.data.collate import collate_of
from runner.data.curriculum import Curriculum
from runner.data.data import Data, in_split
from runner.data.loader import Loader, evaluation_loader
from runner.data.ready_made import from_loaders
from runner.errors import ConfigError, did_you_mean

SPLITS = ("train", "evaluation", "test")


def read_data(
    given: Any, options: Options, written: Collection[str] = ()
) -> tuple[Data | None, Options]:
    """Return `given` as Data, and `options` with the settings of its DataLoaders, if it has any.

    ConfigError for a split that is none, and for settings that contradict those in `options`, of
    which those count that are `written` (see `Settings`) or differ from their defaults.
    """
    if given is None or isinstance(given, Data):
        return given, options
    if isinstance(given, tuple):
        raise ConfigError(
            "data: of a tuple nobody can tell what is what: give {'train': ..., 'evaluation': ...} "
            "with datasets or DataLoaders, or a TensorDataset of inputs and targets"
        )
    splits = dict(given) if isinstance(given, Mapping) else {"train": given}
    _check_splits(splits)
    kinds = {name: isinstance(each, DataLoader) for name, each in _all(splits)}
    if not any(kinds.values()):
        return Data(**splits), options
    if not all(kinds.values()):
        loader, other = (
            next(n for n, is_one in kinds.items() if is_one is k) for k in (True, False)
        )
        raise ConfigError(
            f"data: {loader} is a DataLoader and {other} is none: give all as DataLoaders, or all "
            "as datasets"
        )
    data, told = from_loaders(splits.pop("train"), **splits)
    return data, replace(options, loader=_agreed(options.loader, told, written))


def loaders_of(
    what: Any, data: Data | None, options: Options, device: torch.device
) -> dict[str, Loader]:
    """Return loaders that give every sample of `what` once, by the names of datasets in a split.

    `what` is the name of a split of `data`, a dataset or a DataLoader; one alone has the name "".
    """
    if isinstance(what, Mapping):
        raise ConfigError(
            "evaluate and predict take one dataset, DataLoader or name of a split: call them for "
            f"each of {', '.join(map(str, what))}"
        )
    if isinstance(what, str):
        splits = {} if data is None else data.splits()
        names = in_split(splits, what)
        if data is None or not names:
            known = ", ".join(splits) or "it has none"
            raise ConfigError(f"{what!r} is no split of this trainer's data ({known})")
    else:
        data, options = _alone(what, data, options)
        names = {"": "evaluation"}
    return {
        own: evaluation_loader(
            data.splits()[name],
            options.loader,
            seed=options.seed,
            collate=collate_of(data, name),
            pin_memory=device.type == "cuda" and options.loader.pin_memory,
        )
        for own, name in names.items()
    }


def _alone(what: Any, data: Data | None, options: Options) -> tuple[Data, Options]:
    """Return other data than a trainer's own as an evaluation split, made into batches alike."""
    _check_splits({"train": what})
    if isinstance(what, DataLoader):
        given, told = from_loaders(what, evaluation=what, inexact=True)
        return given, replace(options, loader=told)
    collate = None if data is None else data.collate
    if isinstance(collate, Mapping):
        collate = {split: each for split, each in collate.items() if split in SPLITS}
    return Data(train=what, evaluation=what, collate=collate), options


def _check_splits(splits: Mapping[str, Any]) -> None:
    for split in splits:
        if split not in SPLITS:
            raise ConfigError(
                f"data: {split!r} is no split; there are {', '.join(SPLITS)}"
                f"{did_you_mean(str(split), SPLITS)}"
            )
    if "train" not in splits:
        raise ConfigError("data: there is nothing to train on: give 'train'")
    for name, each in _all(splits):
        is_data = hasattr(each, "__getitem__") or hasattr(each, "__iter__")
        if not (is_data or isinstance(each, Curriculum)):
            raise ConfigError(
                f"data.{name} must be a dataset or a DataLoader, got {type(each).__name__}"
            )


def _all(splits: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for split, each in splits.items():
        if isinstance(each, Mapping):
            yield from ((f"{split}.{name}", one) for name, one in each.items())
        elif each is not None:
            yield split, each


def _agreed(asked: LoaderOptions, told: LoaderOptions, written: Collection[str]) -> LoaderOptions:
    """Return what the DataLoaders tell; ConfigError if the options ask for something else."""
    unset, problems, kept = LoaderOptions(), [], {}
    for field in fields(LoaderOptions):
        wish, said = getattr(asked, field.name), getattr(told, field.name)
        is_given = wish != getattr(unset, field.name) or f"data.{field.name}" in written
        if not is_given or wish == said:
            continue
        if said == getattr(unset, field.name) and field.name in ("num_workers", "pin_memory"):
            kept[field.name] = wish  # changes no result
            continue
        problems.append(
            f"data.{field.name}={wish}, and the DataLoader says {said}: leave one of the two out"
        )
    if problems:
        raise ConfigError(*problems)
    return replace(told, **kept)

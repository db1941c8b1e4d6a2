"""Data from what a user has in hand: `Data`, a dataset, a loader, or several of them by split."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader

from runner.config.options import Options
from runner.data.data import Data
from runner.data.loader import Loader, evaluation_loader
from runner.errors import ConfigError, did_you_mean

SPLITS = ("train", "evaluation", "test")


def read_data(given: Any) -> Data | None:
    """Return `given` as Data; None stays None."""
    if given is None or isinstance(given, Data):
        return given
    if not isinstance(given, Mapping):
        return Data(train=_dataset(given, "train"))
    for split in given:
        if split not in SPLITS:
            raise ConfigError(
                f"data: {split!r} is no split; there are {', '.join(SPLITS)}"
                f"{did_you_mean(str(split), SPLITS)}"
            )
    if "train" not in given:
        raise ConfigError("data: there is nothing to train on: give 'train'")
    return Data(**{split: _dataset(each, split) for split, each in given.items()})


def _dataset(given: Any, split: str) -> Any:
    if isinstance(given, DataLoader):
        raise ConfigError(f"data.{split}: a DataLoader")
    if not hasattr(given, "__getitem__") and not hasattr(given, "__iter__"):
        raise ConfigError(
            f"data.{split} must be a dataset or a DataLoader, got {type(given).__name__}"
        )
    return given


def loader_of(what: Any, data: Data | None, options: Options, device: torch.device) -> Loader:
    """Return a loader of every sample of `what` once: a split of `data`, or other data."""
    if isinstance(what, str):
        splits = {} if data is None else data.splits()
        if what not in splits:
            known = ", ".join(splits) or "it has none"
            raise ConfigError(f"{what!r} is no split of this trainer's data ({known})")
        dataset = splits[what]
    else:
        dataset = _dataset(what, "evaluation")
    return evaluation_loader(
        dataset,
        options.loader,
        seed=options.seed,
        collate=None if data is None else data.collate,
        pin_memory=device.type == "cuda",
    )

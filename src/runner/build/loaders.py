"""The loaders of a config's data, as training has them."""

import torch

from runner.config.options import Options
from runner.data.collate import collate_of
from runner.data.data import Data
from runner.data.loader import Loader, evaluation_loader, train_loader
from runner.runtime.ranks import ALONE, Ranks


def build_loaders(
    data: Data, options: Options, device: torch.device, ranks: Ranks
) -> dict[str, Loader]:
    """Return a loader for each dataset of `data`, that of train in the order of training."""
    return {
        name: _loader(data, name, options, device, ranks, is_training=name == "train")
        for name in data.splits()
    }


def build_evaluation_loader(
    data: Data, name: str, options: Options, device: torch.device
) -> Loader:
    """Return a loader that gives every sample of the dataset `name` once, train too."""
    return _loader(data, name, options, device, ALONE, is_training=False)


def _loader(
    data: Data,
    name: str,
    options: Options,
    device: torch.device,
    ranks: Ranks,
    *,
    is_training: bool,
) -> Loader:
    make = train_loader if is_training else evaluation_loader
    return make(
        data.splits()[name],
        options.loader,
        seed=options.seed,
        collate=collate_of(data, name),
        pin_memory=options.loader.pin_memory and device.type == "cuda",
        max_batches=options.debug.limit_batches,
        sampler=data.sampler if is_training else None,
        accumulation=options.trainer.gradient_accumulation_steps,
        rank=ranks.rank,
        num_ranks=ranks.count,
    )

"""What the `debug` options change: shorter runs, fewer batches, closer looks."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

import torch
from torch.utils.data import Subset

from runner.config.options import Options
from runner.data.batches import Batches
from runner.data.collate import collate_of
from runner.data.curriculum import Curriculum
from runner.data.data import Data, Dataset, MapDataset, is_map_style

FAST_STEPS = 3
FAST_BATCHES = 2


def apply_debug(options: Options) -> Options:
    """Return `options` with the debug options worked in."""
    debug = options.debug
    torch.autograd.set_detect_anomaly(debug.detect_anomaly)
    if not debug.fast_dev_run:
        return options
    return replace(
        options,
        trainer=replace(options.trainer, max_steps=FAST_STEPS, log_every_steps=1),
        debug=replace(debug, limit_batches=debug.limit_batches or FAST_BATCHES),
    )


def debug_data(data: Data, options: Options) -> Data:
    """Return `data`, or its first training batches as every split with debug.overfit_batches."""
    num_batches = options.debug.overfit_batches
    if not num_batches:
        return data
    few = _first_batches(data.train, num_batches, size=options.loader.batch_size)
    sets = data.evaluation
    return replace(
        data,
        train=few,
        evaluation=dict.fromkeys(sets, few) if isinstance(sets, Mapping) else few,
        test=None,
        collate=collate_of(data, "train"),
        augment=None,
        sampler=None,
    )


def _first_batches(dataset: Dataset, count: int, *, size: int) -> Dataset:
    if isinstance(dataset, Batches):
        return Batches(list(islice(dataset, count)))
    if isinstance(dataset, Curriculum):
        return _first_batches(dataset.stages[0].dataset, count, size=size)
    return _first(dataset, count * size)


def _first(dataset: Dataset, count: int) -> MapDataset:
    if not is_map_style(dataset):
        return list(islice(copy.copy(dataset), count))  # type: ignore[arg-type]
    subset = Subset(dataset, range(min(count, len(dataset))))  # type: ignore[arg-type]
    if hasattr(dataset, "texts"):
        subset.texts = dataset.texts[: len(subset)]  # type: ignore[attr-defined]
    return subset

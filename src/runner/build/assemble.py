"""Put model, task, data and optimizer together into the parts of a training.

The one place that knows two strangers at once, and so the one that finds that they do not fit.
"""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from runner.build.debugging import apply_debug, debug_data
from runner.build.optimizers import (
    GivenOptimizer,
    GivenScheduler,
    build_optimizer,
    check_optimizer,
    with_a_row_each_epoch,
)
from runner.build.placement import place
from runner.build.plan import check_metric, plan_schedule
from runner.config.options import LoaderOptions, Options
from runner.data.data import Data, is_map_style
from runner.data.fingerprint import fingerprint
from runner.data.loader import Loader, evaluation_loader, train_loader
from runner.data.stream import check_stream
from runner.errors import DataError
from runner.runtime.precision import Precision
from runner.runtime.ranks import ALONE, Ranks
from runner.tasks.ctc import CTC, check_alignable
from runner.tasks.task import Task, has_own_epoch
from runner.training.callback import Callback
from runner.training.callbacks.profiler import Profiler
from runner.training.own_epoch import WholeEpochs
from runner.training.parts import Parts
from runner.training.weight_average import ExponentialAverage, NoAverage, WeightAverage


def assemble(
    *,
    model: nn.Module,
    task: Task,
    data: Data,
    optimizer: GivenOptimizer,
    scheduler: GivenScheduler,
    callbacks: Mapping[str, Callback],
    options: Options,
    device: torch.device,
    ranks: Ranks = ALONE,
) -> Parts:
    """Return the parts of a training on `device`; ConfigError or DataError if they do not fit.

    Every one of `ranks` calls this; the first weights are those of rank 0.
    """
    options = apply_debug(options)
    if has_own_epoch(task):
        options = with_a_row_each_epoch(options)
    check_optimizer(optimizer, task, model, options)
    data = debug_data(data, options)
    _check_data(data, task, model)
    loaders = _loaders(data, options, device, ranks)
    if has_own_epoch(task):
        loaders["train"] = WholeEpochs(loaders["train"])
    check_metric(task, options.trainer, loaders)
    _make_deterministic(options.trainer.deterministic)
    model, averaged, device = place(model, optimizer, options, device, ranks)
    average = _average(model, averaged, options)  # sharded modules have other parameters
    built = build_optimizer(optimizer, model)
    schedule, plan = plan_schedule(built, scheduler, options, loaders)
    return Parts(
        model=model,
        task=task,
        optimizer=built,
        schedule=schedule,
        loaders=loaders,
        augment=data.augment,
        callbacks={**callbacks, "profiler": Profiler()} if options.debug.profile else callbacks,
        options=options,
        device=device,
        precision=Precision(options.precision, device),
        data_fingerprint=fingerprint(data),
        planned_steps=plan.steps,
        average=average,
        ranks=ranks,
    )


def _average(model: nn.Module, averaged: nn.Module | None, options: Options) -> WeightAverage:
    decay = options.trainer.ema_decay
    if averaged is None or decay is None:
        return NoAverage(model)
    return ExponentialAverage(averaged, model, decay=decay)


def _loaders(data: Data, options: Options, device: torch.device, ranks: Ranks) -> dict[str, Loader]:
    def build(make: Any, dataset: Any, loader_options: LoaderOptions) -> Loader:
        return make(
            dataset,
            loader_options,
            seed=options.seed,
            collate=data.collate,
            pin_memory=device.type == "cuda",
            max_batches=options.debug.limit_batches,
            rank=ranks.rank,
            num_ranks=ranks.count,
        )

    loaders = {"train": build(train_loader, data.train, options.loader)}
    for split, dataset in data.splits().items():
        if split != "train":
            loaders[split] = build(evaluation_loader, dataset, options.loader)
    return loaders


def _check_data(data: Data, task: Task, model: nn.Module) -> None:
    for split, dataset in data.splits().items():
        if not is_map_style(dataset):
            check_stream(dataset, split=split, must_resume=split == "train")
            continue
        if len(dataset) == 0:
            raise DataError(f"data: the {split} split is empty: there is nothing to learn from")
        if isinstance(task, CTC) and hasattr(model, "num_frames") and hasattr(dataset, "texts"):
            width = dataset[0]["image"].shape[-1]
            check_alignable(dataset.texts, model.num_frames(width))  # type: ignore[operator]


def _make_deterministic(wanted: bool) -> None:
    if wanted:  # cuBLAS asks for it, before its first use
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(wanted)

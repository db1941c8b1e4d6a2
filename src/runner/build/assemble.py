"""Put model, task, data and optimizer together into the parts of a training.

The one place that knows two strangers at once, and so the one that finds that they do not fit.
"""

import os
from collections.abc import Mapping

import torch
from torch import nn

from runner.build.compiling import compile_model
from runner.build.debugging import apply_debug, debug_data
from runner.build.loaders import build_loaders
from runner.build.optimizers import (
    GivenOptimizer,
    GivenScheduler,
    build_optimizer,
    check_optimizer,
    with_a_row_each_epoch,
)
from runner.build.placement import place
from runner.build.plan import check_metric, plan_schedule
from runner.build.weights_from import first_weights
from runner.config.options import Options
from runner.data.batches import Batches, check_batches
from runner.data.curriculum import Curriculum
from runner.data.data import Data, MapDataset, is_map_style, texts_of
from runner.data.fingerprint import fingerprint
from runner.data.preprocessor import check_preprocessor
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
    _check_data(data, task, model, ranks)
    loaders = build_loaders(data, options, device, ranks)
    if has_own_epoch(task):
        loaders["train"] = WholeEpochs(loaders["train"])
    check_metric(task, options.trainer, loaders)
    make_deterministic(options.trainer.deterministic)
    model, averaged, device = place(model, optimizer, options, device, ranks)
    average = _average(model, averaged, options)  # sharded modules have other parameters
    for whole in (model, averaged):
        if whole is not None:
            compile_model(whole, options.trainer.compile, device)
    built = build_optimizer(optimizer, model, options.parameters)
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
        preprocessor=data.preprocessor,
        first_weights=first_weights(options),
        ranks=ranks,
    )


def _average(model: nn.Module, averaged: nn.Module | None, options: Options) -> WeightAverage:
    decay = options.trainer.ema_decay
    if averaged is None or decay is None:
        return NoAverage(model)
    return ExponentialAverage(averaged, model, decay=decay)


def _check_data(data: Data, task: Task, model: nn.Module, ranks: Ranks) -> None:
    check_preprocessor(data.preprocessor)
    if data.sampler is not None and not is_map_style(data.train):
        raise DataError("data.sampler needs a train dataset with a length and random access")
    for split, dataset in data.splits().items():
        is_train = split == "train"
        if isinstance(dataset, Batches):
            check_batches(dataset, name=split, must_resume=is_train, num_ranks=ranks.count)
        elif isinstance(dataset, Curriculum):
            _check_curriculum(dataset, split, task, model)
        elif is_map_style(dataset):
            _check_map_style(dataset, split, task, model)
        else:
            check_stream(dataset, split=split, must_resume=is_train)


def _check_curriculum(dataset: Curriculum, split: str, task: Task, model: nn.Module) -> None:
    if split != "train":
        raise DataError(f"data.{split} is a curriculum, which is for training alone")
    for stage in dataset.stages:
        if stage.duration is not None and stage.duration.unit == "steps" and has_own_epoch(task):
            raise DataError(
                f"data: a stage of the curriculum lasts {stage.duration}, and the task makes whole "
                "epochs of its own: give the stages in epochs"
            )
        _check_map_style(stage.dataset, split, task, model)


def _check_map_style(dataset: MapDataset, split: str, task: Task, model: nn.Module) -> None:
    if len(dataset) == 0:
        raise DataError(f"data: the {split} split is empty: there is nothing to learn from")
    if isinstance(task, CTC) and hasattr(model, "num_frames") and hasattr(dataset, "texts"):
        width = dataset[0]["image"].shape[-1]
        check_alignable(texts_of(dataset), model.num_frames(width))  # type: ignore[operator]


def make_deterministic(wanted: bool) -> None:
    """Let this process use operations alone that are the same every time, or any."""
    if wanted:  # cuBLAS asks for it, before its first use
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(wanted)

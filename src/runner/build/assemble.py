"""Put model, task, data and optimizer together into the parts of a training.

The one place that knows two strangers at once, and so the one that finds that they do not fit.
"""

import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from runner.build.debugging import apply_debug, debug_data
from runner.config.options import LoaderOptions, Options, TrainerOptions
from runner.data.data import Data
from runner.data.fingerprint import fingerprint
from runner.data.loader import Loader, evaluation_loader, train_loader
from runner.errors import ConfigError, DataError, did_you_mean
from runner.optim.optimization import (
    OptimizerFactory,
    Schedule,
    SchedulerFactory,
    build_schedule,
)
from runner.runtime.precision import Precision
from runner.tasks.ctc import CTC, check_alignable
from runner.tasks.task import Task
from runner.training.callback import Callback
from runner.training.callbacks.profiler import Profiler
from runner.training.parts import Parts


def assemble(
    *,
    model: nn.Module,
    task: Task,
    data: Data,
    optimizer: OptimizerFactory | Optimizer,
    scheduler: SchedulerFactory | None,
    callbacks: Mapping[str, Callback],
    options: Options,
    device: torch.device,
) -> Parts:
    """Return the parts of a training on `device`; ConfigError or DataError if they do not fit."""
    options = apply_debug(options)
    data = debug_data(data, options)
    _check_data(data, task, model)
    loaders = _loaders(data, options, device)
    _check_metric(task, options.trainer, loaders)
    _make_deterministic(options.trainer.deterministic)
    model = model.to(device)
    if not isinstance(optimizer, Optimizer):
        optimizer = optimizer(model.parameters())
    steps_per_epoch = _steps_per_epoch(loaders["train"], options)
    planned_steps = _planned_steps(options.trainer, steps_per_epoch)
    schedule = build_schedule(
        scheduler,
        optimizer,
        total_steps=_schedule_length(options.trainer, planned_steps, steps_per_epoch),
    )
    _check_plan(options.trainer, schedule, planned_steps, loaders)
    return Parts(
        model=model,
        task=task,
        optimizer=optimizer,
        schedule=schedule,
        loaders=loaders,
        augment=data.augment,
        callbacks={**callbacks, "profiler": Profiler()} if options.debug.profile else callbacks,
        options=options,
        device=device,
        precision=Precision(options.precision, device),
        data_fingerprint=fingerprint(data),
        planned_steps=planned_steps,
    )


def _loaders(data: Data, options: Options, device: torch.device) -> dict[str, Loader]:
    def build(make: Any, dataset: Any, loader_options: LoaderOptions) -> Loader:
        return make(
            dataset,
            loader_options,
            seed=options.seed,
            collate=data.collate,
            pin_memory=device.type == "cuda",
            max_batches=options.debug.limit_batches,
        )

    loaders = {"train": build(train_loader, data.train, options.loader)}
    for split, dataset in data.splits().items():
        if split != "train":
            loaders[split] = build(evaluation_loader, dataset, options.loader)
    return loaders


def _check_data(data: Data, task: Task, model: nn.Module) -> None:
    for split, dataset in data.splits().items():
        if len(dataset) == 0:
            raise DataError(f"data: the {split} split is empty: there is nothing to learn from")
        if isinstance(task, CTC) and hasattr(model, "num_frames") and hasattr(dataset, "texts"):
            width = dataset[0]["image"].shape[-1]
            check_alignable(dataset.texts, model.num_frames(width))  # type: ignore[operator]


def _check_metric(task: Task, options: TrainerOptions, loaders: Mapping[str, Loader]) -> None:
    split, _, metric = options.best_metric.partition(".")
    known = task.metrics()
    if split == "evaluation" and "evaluation" in loaders and metric not in known:
        raise ConfigError(
            f"trainer.best_metric={options.best_metric}: the task measures "
            f"{', '.join(f'evaluation.{name}' for name in known)}{did_you_mean(metric, known)}"
        )
    if split == "evaluation" and options.patience is not None and "evaluation" not in loaders:
        raise ConfigError("trainer.patience needs an evaluation split, which data does not have")


def _check_plan(
    options: TrainerOptions,
    schedule: Schedule,
    planned_steps: int | None,
    loaders: Mapping[str, Loader],
) -> None:
    scores_evaluations = options.best_metric.startswith("evaluation.")
    if schedule.needs_score and not (scores_evaluations and "evaluation" in loaders):
        raise ConfigError(
            "scheduler=plateau follows an evaluation: it needs trainer.best_metric=evaluation.* "
            "and data with an evaluation split"
        )
    every = options.log_every_steps
    never_logged = not every or (planned_steps is not None and planned_steps < every)
    if not scores_evaluations and never_logged:
        raise ConfigError(
            f"trainer.best_metric={options.best_metric} is looked at when a row is logged, which "
            f"trainer.log_every_steps={every} never does in {planned_steps} steps"
        )


def _make_deterministic(wanted: bool) -> None:
    if wanted:  # cuBLAS asks for it, before its first use
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(wanted)


def _steps_per_epoch(loader: Loader, options: Options) -> int:
    if len(loader) == 0:
        raise ConfigError(
            f"data.batch_size={options.loader.batch_size} with data.drop_last=true leaves no whole "
            "batch: use a smaller batch"
        )
    return math.ceil(len(loader) / options.trainer.gradient_accumulation_steps)


def _planned_steps(options: TrainerOptions, steps_per_epoch: int) -> int | None:
    """Return how many steps the run takes unless stopped early; None if time alone ends it."""
    limits = [options.max_steps]
    if options.max_epochs is not None:
        limits.append(options.max_epochs * steps_per_epoch)
    return min((limit for limit in limits if limit is not None), default=None)


def _schedule_length(
    options: TrainerOptions, planned_steps: int | None, steps_per_epoch: int
) -> int | None:
    if planned_steps is None or options.schedule_every == "evaluation":
        return None
    if options.schedule_every == "epoch":
        return math.ceil(planned_steps / steps_per_epoch)
    return planned_steps

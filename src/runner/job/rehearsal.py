"""Rehearse a run: build everything, and do each kind of work once, before anything is started.

The training itself is the real one (`TrainingLoop`), cut down to a step, a batch of each evaluation
and nothing to save; its files go to a folder that is thrown away. Callbacks and trackers are
built, and told nothing. A run on several ranks is rehearsed as rank 0 of them, alone.
"""

import copy
import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from runner.build.debugging import apply_debug
from runner.build.from_config import build_parts, build_trackers
from runner.build.optimizers import build_optimizer, with_a_row_each_epoch
from runner.build.plan import check_metric, plan_schedule
from runner.config.instantiate import instantiate_each
from runner.config.options import Options, ParameterOptions, TrainerOptions
from runner.config.run_config import Node, RunConfig
from runner.config.targets import TARGET
from runner.data.loader import Loader
from runner.job.elsewhere import as_on_cpu, is_about_gpus, stand_in
from runner.job.observed import ObservedLoader, ObservedTask, Stage
from runner.job.picklable import check_picklable
from runner.job.place import wants_ranks
from runner.job.telling import told, warnings_heard
from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row, read_journal
from runner.runtime.device import prepare_hardware
from runner.runtime.ranks import ALONE, Ranks
from runner.runtime.signals import StopRequests
from runner.sweeps.checks.findings import Findings
from runner.tasks.task import has_own_epoch, has_step
from runner.training.loop import TrainingLoop
from runner.training.own_epoch import WholeEpochs
from runner.training.parts import Parts
from runner.training.splitting import is_out_of_memory

_TIMED_STEPS = 6
_TIMED_SECONDS = "3 seconds"
_EPOCH_BATCHES = 2  # of a task that trains whole epochs
# Stands in while model and data are built: what is wrong with an optimizer is not their fault.
_ANY_OPTIMIZER = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.0}
MOST_TRIED = 3  # of those that differ in optimizer, scheduler and trainer, until one gets through


def rehearse(
    configs: Sequence[RunConfig],
    *,
    tell: Callable[[str], None] = lambda _: None,
    scratch: Path | None = None,
    is_timed: bool = False,
    is_elsewhere: bool = False,
) -> list[Findings]:
    """Return what would go wrong with each of `configs` on this machine, in a sentence each.

    They may differ in what happens to one model and its data: optimizer, scheduler, trainer. All
    are planned, and the first that can be is tried: what it finds counts for all. `tell` hears of
    each stage before it begins. What is written goes into a folder in `scratch` (None: where the
    system has its own) that is removed. With `is_timed` a few more steps are made, and their
    seconds are among the facts. What will run on a cluster (`is_elsewhere`) is tried as far as
    this machine can; on its CPU nothing is timed for a GPU.
    """
    substitute = stand_in(configs[0].options) if is_elsewhere else None
    if substitute is not None:
        if not substitute.is_tried:
            return [Findings(warnings=[substitute.note]) for _ in configs]
        configs, is_timed = [as_on_cpu(config) for config in configs], False
    stage = Stage(tell)
    problems: dict[int, list[str]] = {}
    facts: dict[str, Any] = {}
    with warnings_heard() as warnings:
        warnings += [] if substitute is None else [substitute.note]
        warnings += _not_covered(configs[0].options)
        try:
            device = _device(configs[0].options, is_elsewhere=is_elsewhere)
            built = _build(configs[0], device, stage)
            plans = _plan_all(configs, built, stage, problems)
            if plans:
                _try_one(plans, stage, problems, facts, scratch=scratch, is_timed=is_timed)
        except (Exception, SystemExit) as error:
            if substitute is not None and is_about_gpus(error):
                warnings.append(f"not tried to the end: {told(error, stage)[0]}")
            elif _comes_of_one_rank(error, configs[0].options):
                warnings.append(f"not tried to the end: one rank has not enough memory ({error})")
            else:
                problems = {number: told(error, stage) for number in range(len(configs))} | problems
    warnings = list(dict.fromkeys(warnings))
    return [
        Findings(problems=problems.get(number, []), warnings=warnings, facts=facts)
        for number in range(len(configs))
    ]


def _device(options: Options, *, is_elsewhere: bool) -> torch.device:
    if not is_elsewhere:
        wants_ranks(options)  # or tells why there cannot be so many
    is_rank = options.hardware.num_processes > 1
    return prepare_hardware(options.hardware, local_rank=0 if is_rank else None)


def _build(config: RunConfig, device: torch.device, stage: Stage) -> Parts:
    """Return the parts of `config`; nothing is said yet about its optimizer and its length."""
    stage("building data and model")
    neutral = replace(
        config,
        optimizer=_any_optimizer(config.optimizer),
        scheduler=None,
        parameters=ParameterOptions(freeze=config.parameters.freeze),
        trainer=replace(config.trainer, best_metric="train.loss", log_every_steps=1, patience=None),
        # Workers take long to start, and one rank can hold no part of a sharded model.
        loader=replace(config.loader, num_workers=0),
        hardware=replace(config.hardware, sharding=None),
    )
    parts = build_parts(neutral, device, _Alone(count=config.hardware.num_processes))
    build_trackers(config)  # a package that one of them needs may be missing
    if config.init_weights_from is not None:
        stage("reading init_weights_from")
    parts.first_weights.load(parts.model, parts.average.copy)
    if config.loader.num_workers:
        stage("handing the data to their workers")
        for loader in parts.loaders.values():
            check_picklable(loader)
    return parts


def _plan_all(
    configs: Sequence[RunConfig], built: Parts, stage: Stage, problems: dict[int, list[str]]
) -> dict[int, Parts]:
    """Return the whole parts of each config; add what is wrong with the others to `problems`."""
    stage("building optimizer and scheduler")
    plans = {}
    for number, config in enumerate(configs):
        try:
            plans[number] = _planned(config, built)
        except Exception as error:
            problems[number] = told(error, stage)
    return plans


def _planned(config: RunConfig, built: Parts) -> Parts:
    options = apply_debug(config.options)
    check_metric(built.task, options.trainer, built.loaders)
    if has_own_epoch(built.task):
        options = with_a_row_each_epoch(options)
    optimizer = build_optimizer(
        instantiate_each(config.optimizer, "optimizer"), built.model, options.parameters
    )
    scheduler = instantiate_each(config.scheduler, "scheduler")
    schedule, plan = plan_schedule(optimizer, scheduler, options, built.loaders)
    return replace(
        built, optimizer=optimizer, schedule=schedule, options=options, planned_steps=plan.steps
    )


def _try_one(
    plans: Mapping[int, Parts],
    stage: Stage,
    problems: dict[int, list[str]],
    facts: dict[str, Any],
    *,
    scratch: Path | None,
    is_timed: bool,
) -> None:
    """Try the first plan; where it fails and another one does not, the mistake is its own alone.

    Raises what the first met when MOST_TRIED of them fail.
    """
    failed: dict[int, BaseException] = {}
    model = next(iter(plans.values())).model
    weights = copy.deepcopy(model.state_dict()) if len(plans) > 1 else {}
    for number in sorted(plans)[:MOST_TRIED]:
        if failed:
            model.load_state_dict(weights)  # a step with a huge rate has spoilt them
        try:
            with tempfile.TemporaryDirectory(prefix="runner_check_", dir=scratch) as folder:
                directory = RunDirectory(Path(folder))
                _try(plans[number], directory, stage, facts, is_timed=is_timed)
        except (Exception, SystemExit) as error:
            failed[number] = error
            problems[number] = told(error, stage)
        else:
            return
    for number in failed:
        del problems[number]
    raise failed[min(failed)]


def _try(
    parts: Parts, directory: RunDirectory, stage: Stage, facts: dict[str, Any], *, is_timed: bool
) -> None:
    """Train as little as does each kind of work once, and write down what is good to know."""
    facts["parameters"] = sum(parameter.numel() for parameter in parts.model.parameters())
    facts["planned_steps"] = parts.planned_steps
    rows = _train(_cut_down(parts, stage, is_timed=is_timed), directory)
    facts["batch"] = stage.training_batch
    if is_timed:
        facts["seconds_per_step"] = _seconds_per_step(rows, parts)


def _train(parts: Parts, directory: RunDirectory) -> list[Row]:
    """Do what `parts` say, and return what was logged."""
    journal = Journal(directory.journal)
    try:
        loop = TrainingLoop(parts, directory=directory, journal=journal, stop=StopRequests())
        loop.run()
    finally:
        journal.close()
    return read_journal(directory.journal)


def _cut_down(parts: Parts, stage: Stage, *, is_timed: bool) -> Parts:
    """Return `parts` of a training that is over after a step and whatever it would do then."""
    options = parts.options
    if isinstance(parts.optimizer, Optimizer) and has_step(parts.task):  # others go on behind it
        parts.optimizer.register_step_pre_hook(lambda *_: stage("the optimizer's step"))
        parts.optimizer.register_step_post_hook(lambda *_: stage("what follows a step"))
    loaders = {split: _observed(loader, split, stage) for split, loader in parts.loaders.items()}
    return replace(
        parts,
        ranks=ALONE,
        task=ObservedTask(parts.task, stage),
        loaders=loaders,
        callbacks={},
        options=replace(
            options,
            trainer=_short(options.trainer, is_timed=is_timed),
            checkpoint=replace(options.checkpoint, enabled=False),
        ),
    )


def _observed(loader: Loader, split: str, stage: Stage) -> Loader:
    """Return a loader of as little as does each kind of work once: of whole epochs two batches."""
    if isinstance(loader, WholeEpochs):
        return WholeEpochs(ObservedLoader(loader.inner, split, stage, limit=_EPOCH_BATCHES))
    return ObservedLoader(loader, split, stage, limit=None if split == "train" else 1)


def _any_optimizer(node: Node) -> Node:
    """Return what stands in for the optimizer, or the optimizers by name, of `node`."""
    return _ANY_OPTIMIZER if TARGET in node else dict.fromkeys(node, _ANY_OPTIMIZER)


def _short(trainer: TrainerOptions, *, is_timed: bool) -> TrainerOptions:
    evaluates = trainer.evaluate_every or trainer.evaluate_at_start or trainer.evaluate_at_end
    return replace(
        trainer,
        max_steps=_TIMED_STEPS if is_timed else 1,
        max_epochs=None,
        max_duration=_TIMED_SECONDS if is_timed else None,
        gradient_accumulation_steps=min(2, trainer.gradient_accumulation_steps),
        log_every_steps=1,
        schedule_every="evaluation" if trainer.schedule_every == "evaluation" else "step",
        evaluate_every=None,
        evaluate_at_start=False,
        evaluate_at_end=bool(evaluates),
        patience=None,
    )


def _seconds_per_step(rows: Sequence[Row], parts: Parts) -> float:
    """Return how long a whole step takes, the first one, which warms up, left out if possible.

    Workers are believed to make batches as fast as they are needed.
    """
    speeds = [row.values for row in rows if row.split == "speed"]
    options, train = parts.options, parts.loaders["train"]
    batches = options.trainer.gradient_accumulation_steps
    if isinstance(train, WholeEpochs):
        batches = train.inner.num_batches or 1
    samples = options.loader.batch_size * batches
    hidden = bool(options.loader.num_workers)
    return statistics.median(
        samples / speed["samples_per_second"] * (1 - hidden * speed["data_wait_share"])
        for speed in speeds[1:] or speeds
    )


class _Alone(Ranks):
    """Rank 0 of several that are not there: it has its share of the batches, and nobody to tell."""

    def spread(self, tensors: Iterable[Tensor]) -> None: ...


def _not_covered(options: Options) -> list[str]:
    hardware = options.hardware
    if hardware.num_processes == 1:
        return []
    spread = ", and with the whole model on it" if hardware.sharding else ""
    return [
        f"tried as one of {hardware.num_processes} ranks with its share of a batch{spread}: "
        "what ranks do together is not covered"
    ]


def _comes_of_one_rank(error: BaseException, options: Options) -> bool:
    """Return whether `error` comes of one rank that holds what several would share."""
    return options.hardware.sharding is not None and is_out_of_memory(error)

"""Build one optimizer, or several by name, and check that the task and the model go with them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import nn
from torch.optim import Optimizer

from runner.config.options import Options, ParameterOptions
from runner.errors import ConfigError, did_you_mean
from runner.optim.groups import has_groups, optimizer_of
from runner.optim.optimization import OptimizerFactory, SchedulerFactory
from runner.optim.optimizers import Optimizers
from runner.tasks.task import (
    Task,
    evaluates_whole_splits,
    has_own_epoch,
    has_step,
    is_alternating,
)

OneOptimizer = OptimizerFactory | Optimizer
GivenOptimizer = OneOptimizer | Mapping[str, OneOptimizer]
# One for all optimizers, or one for each of some of them.
GivenScheduler = SchedulerFactory | None | Mapping[str, SchedulerFactory | None]


def build_optimizer(
    given: GivenOptimizer, model: nn.Module, options: ParameterOptions
) -> Optimizer | Optimizers:
    """Return the optimizer of `model`; of several, NAME gets the parameters of model[NAME]."""
    if not isinstance(given, Mapping):
        return _built(given, model, options)
    assert isinstance(model, nn.ModuleDict)
    if has_groups(options):
        raise ConfigError(
            "parameters.* divides the parameters of one optimizer among groups, and there are "
            f"several ({', '.join(given)}): leave it as it is, but for parameters.freeze"
        )
    return Optimizers({name: _built(each, model[name], options) for name, each in given.items()})


def check_optimizer(given: GivenOptimizer, task: Task, model: nn.Module, options: Options) -> None:
    """Raise ConfigError if `task`, `model` or `options` do not go with the optimizers of a run."""
    names = list(given) if isinstance(given, Mapping) else None
    problems = [
        *_check_task(task, names),
        *([] if names is None else _check_model(model, names)),
        *([] if has_step(task) else _check_options(task, options)),
        *_check_evaluation(task, options),
    ]
    if problems:
        raise ConfigError(*problems)


def with_a_row_each_epoch(options: Options) -> Options:
    """Return `options` for a task to which a step is an epoch: each has its row."""
    every = min(1, options.trainer.log_every_steps)
    return replace(options, trainer=replace(options.trainer, log_every_steps=every))


def _built(given: OneOptimizer, model: nn.Module, options: ParameterOptions) -> Optimizer:
    if not isinstance(given, Optimizer):
        return optimizer_of(given, model, options)
    own = {p for group in given.param_groups for p in group["params"]}
    if own.isdisjoint(model.parameters()):
        raise ConfigError(
            f"optimizer: this {type(given).__name__} has none of the model's parameters, and would "
            "train nothing: make it of model.parameters(), or give a factory, such as "
            "partial(AdamW, lr=...)"
        )
    if has_groups(options):
        raise ConfigError(
            "parameters.* divides the parameters among groups of an optimizer that is made for "
            "them, not of one that was made before: give a factory, such as partial(AdamW, lr=...)"
        )
    return given


def _check_task(task: Task, names: list[str] | None) -> Iterator[str]:
    kind = type(task).__name__
    if not (has_step(task) or is_alternating(task) or has_own_epoch(task)):
        yield (
            f"task: {kind} has none of training_step, alternating_step and training_epoch, so it "
            "cannot be trained: give it one of them"
        )
    elif names is None and is_alternating(task):
        yield (
            f"task: {kind} alternates several optimizers and there is a single one: give one for "
            "each part of the model by its name (optimizer=gan has generator and discriminator)"
        )
    elif names is not None and has_step(task):
        yield (
            f"optimizer: there are several ({', '.join(names)}), and {kind} has no "
            "alternating_step or training_epoch that would use them: give a single optimizer, or a "
            "task that does"
        )


def _check_model(model: nn.Module, names: list[str]) -> Iterator[str]:
    if not isinstance(model, nn.ModuleDict):
        yield (
            f"several optimizers need a model that is a torch.nn.ModuleDict with a part for each "
            f"({', '.join(names)}), and it is of {type(model).__name__}"
        )
        return
    for name in names:
        if name not in model:
            yield (
                f"optimizer.{name}: the model has no part '{name}', it has {', '.join(model)}"
                f"{did_you_mean(name, model)}"
            )
    for name, part in model.items():
        if name not in names and any(p.requires_grad for p in part.parameters()):
            yield (
                f"model: its part '{name}' has parameters to train and no optimizer: give "
                f"optimizer.{name}, or switch their requires_grad off"
            )


def _check_evaluation(task: Task, options: Options) -> Iterator[str]:
    if options.hardware.sharding is not None and evaluates_whole_splits(task):
        yield (
            f"hardware.sharding={options.hardware.sharding} does not go with "
            f"{type(task).__name__}.evaluation_epoch: ranks with fewer batches would keep the "
            "others waiting for good; give evaluation_step, or set hardware.sharding=null"
        )


def _check_options(task: Task, options: Options) -> Iterator[str]:
    kind, trainer = type(task).__name__, options.trainer
    if trainer.gradient_accumulation_steps > 1:
        yield (
            f"trainer.gradient_accumulation_steps={trainer.gradient_accumulation_steps} does not "
            f"go with {kind}, which makes each update of one batch: use a larger data.batch_size"
        )
    if trainer.on_nonfinite == "skip":
        yield (
            f"trainer.on_nonfinite=skip does not go with {kind}: of a step with several updates "
            "one would be left out and the others not; use stop or rollback"
        )
    if trainer.on_out_of_memory == "split":
        yield (
            f"trainer.on_out_of_memory=split does not go with {kind}: a step with several updates "
            "cannot begin again after the first; use a smaller data.batch_size"
        )
    if options.hardware.sharding is not None:
        yield (
            f"hardware.sharding={options.hardware.sharding} does not go with {kind}, whose parts "
            "are updated one by one: set hardware.sharding=null"
        )

"""Plan a training before it begins: how long it is, and what of its options cannot be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch.optim import Optimizer

from runner.build.optimizers import GivenScheduler
from runner.config.options import Options, TrainerOptions
from runner.data.data import in_split
from runner.data.lengths import Lengths
from runner.data.loader import Loader
from runner.errors import ConfigError, did_you_mean
from runner.metrics.metric import Metric
from runner.optim.optimization import (
    Schedule,
    SchedulerFactory,
    asks_for_total_steps,
    build_schedule,
)
from runner.optim.optimizers import SINGLE, Optimizers, Schedules, by_name
from runner.tasks.task import Task

_DEFAULT_METRIC = TrainerOptions().best_metric


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many steps a run takes unless stopped early, and how many its schedule; None: unknown."""

    steps: int | None
    schedule_steps: int | None


def plan_training(
    loader: Loader, schedulers: Iterable[SchedulerFactory | None], options: Options
) -> Plan:
    """Return the plan of a training on the batches of `loader`; ConfigError if there can be none.

    The length of a stream is known when it ends.
    """
    trainer = options.trainer
    lengths, accumulation = loader.lengths, trainer.gradient_accumulation_steps
    if lengths is not None and not lengths.shortest:
        raise ConfigError(
            f"data.batch_size={options.loader.batch_size} with data.drop_last=true leaves no whole "
            "batch: use a smaller batch"
        )
    limits = [trainer.max_steps]
    if trainer.max_epochs is not None and lengths is not None:
        limits.append(lengths.steps(trainer.max_epochs, accumulation))
    steps = min((limit for limit in limits if limit is not None), default=None)
    plan = Plan(steps=steps, schedule_steps=_schedule_steps(trainer, steps, lengths))
    asks = any(each is not None and asks_for_total_steps(each) for each in schedulers)
    if plan.schedule_steps is None and asks:
        raise ConfigError(
            "the scheduler needs to know how long training is, which its data does not tell (they "
            "have no length): give trainer.max_steps, or use scheduler=constant"
        )
    return plan


def plan_schedule(
    optimizer: Optimizer | Optimizers,
    scheduler: GivenScheduler,
    options: Options,
    loaders: Mapping[str, Loader],
) -> tuple[Schedule | Schedules, Plan]:
    """Return the plan of a training, and the schedule of its learning rates, as long as that.

    Raises ConfigError for options that cannot be.
    """
    factories = _by_optimizer(scheduler, by_name(optimizer))
    plan = plan_training(loaders["train"], factories.values(), options)
    schedules = {
        name: build_schedule(factories[name], each, total_steps=plan.schedule_steps)
        for name, each in by_name(optimizer).items()
    }
    is_single = isinstance(optimizer, Optimizer)
    schedule = schedules[SINGLE] if is_single else Schedules(schedules)
    check_plan(options, schedule, plan, loaders)
    return schedule, plan


def check_metric(task: Task, options: TrainerOptions, loaders: Mapping[str, Loader]) -> None:
    """Raise ConfigError if the metric to choose the best step by will not be measured."""
    split, _, metric = options.best_metric.partition(".")
    datasets = in_split(loaders, "evaluation")
    for knob in ("patience", "target_score"):
        if split == "evaluation" and getattr(options, knob) is not None and not datasets:
            raise ConfigError(f"trainer.{knob} needs an evaluation split, which data does not have")
    if split == "evaluation" and not datasets and options.best_metric != _DEFAULT_METRIC:
        raise ConfigError(
            f"trainer.best_metric={options.best_metric} needs an evaluation split, which data does "
            "not have: give one, or a metric of training such as train.loss"
        )
    metrics = task.metrics()
    known = [f"{name}.{of}" for name in datasets.values() for of in metrics]
    if split != "evaluation" or not datasets:
        return
    if options.best_metric in known:
        _check_mode(options, metrics[options.best_metric.rpartition(".")[2]])
        return
    if metric in metrics:  # such as the default, evaluation.loss
        raise ConfigError(
            f"trainer.best_metric={options.best_metric}: data has several evaluation sets, so say "
            f"whose {metric} it is: {' or '.join(f'{name}.{metric}' for name in datasets.values())}"
        )
    raise ConfigError(
        f"trainer.best_metric={options.best_metric}: the task measures {', '.join(known)}"
        f"{did_you_mean(options.best_metric, known)}"
    )


def _check_mode(options: TrainerOptions, metric: Metric) -> None:
    if options.best_mode == "min" and getattr(metric, "larger_is_better", False):
        raise ConfigError(
            f"trainer.best_metric={options.best_metric} is better when it is larger: give "
            "trainer.best_mode=max too"
        )


def check_plan(
    options: Options, schedule: Schedule | Schedules, plan: Plan, loaders: Mapping[str, Loader]
) -> None:
    """Raise ConfigError for options that wait for what this training never does."""
    trainer = options.trainer
    scores_evaluations = trainer.best_metric.startswith("evaluation.")
    if schedule.needs_score and not (scores_evaluations and in_split(loaders, "evaluation")):
        raise ConfigError(
            "scheduler=plateau follows an evaluation: it needs trainer.best_metric=evaluation.* "
            "and data with an evaluation split"
        )
    if schedule.needs_score and trainer.schedule_every != "evaluation":
        raise ConfigError(
            "scheduler=plateau follows the score of evaluations, so trainer.schedule_every must be "
            f"evaluation, got {trainer.schedule_every}"
        )
    if schedule.needs_score and trainer.evaluate_every is None:
        raise ConfigError(
            "scheduler=plateau follows evaluations, and trainer.evaluate_every=null makes none on "
            "the way: say how often, such as '1 epochs'"
        )
    every = trainer.log_every_steps
    never_logged = not every or (plan.steps is not None and plan.steps < every)
    if not scores_evaluations and never_logged:
        raise ConfigError(
            f"trainer.best_metric={trainer.best_metric} is looked at when a row is logged, which "
            f"trainer.log_every_steps={every} never does in {plan.steps} steps"
        )


def _by_optimizer(
    scheduler: GivenScheduler, optimizers: Mapping[str, Optimizer]
) -> dict[str, SchedulerFactory | None]:
    """Return the scheduler of each optimizer; one that is named by none has none."""
    if not isinstance(scheduler, Mapping):
        return dict.fromkeys(optimizers, scheduler)
    for name in scheduler:
        if name not in optimizers:
            raise ConfigError(
                f"scheduler.{name}: there is no optimizer '{name}', there are "
                f"{', '.join(optimizers)}{did_you_mean(name, optimizers)}"
                if list(optimizers) != [SINGLE]
                else f"scheduler.{name}: there is a single optimizer, which has a single scheduler"
            )
    return {name: scheduler.get(name) for name in optimizers}


def _schedule_steps(
    options: TrainerOptions, steps: int | None, lengths: Lengths | None
) -> int | None:
    if options.schedule_every == "epoch" and lengths is None:
        return options.max_epochs
    if steps is None or options.schedule_every == "evaluation":
        return None
    if options.schedule_every == "epoch" and lengths is not None:
        epochs, rest = lengths.epochs_in(steps, options.gradient_accumulation_steps)
        return epochs + (rest > 0)
    return steps

"""Settings that are right each by itself and impossible together."""

from runner.config.duration import parse_optional
from runner.config.options import Options, TrainerOptions
from runner.config.run_config import Node
from runner.config.targets import needs_argument

PLATEAU = "torch.optim.lr_scheduler.ReduceLROnPlateau"


def check_combinations(options: Options, scheduler: Node | None) -> list[str]:
    """Return one sentence for each impossible combination."""
    return [
        *_check_limits(options.trainer),
        *_check_evaluations(options.trainer),
        *_check_scheduler(options.trainer, scheduler),
        *_check_rollback(options),
        *_check_compile(options),
        *_check_debug(options),
        *_check_device_map(options),
        *check_ranks(options, options.hardware.num_processes),
    ]


def check_ranks(options: Options, count: int) -> list[str]:
    """Return what is wrong with training on `count` ranks, in a sentence each."""
    problems = []
    size = options.loader.batch_size
    if size % count:
        problems.append(
            f"data.batch_size={size} counts the samples of all ranks, and {count} ranks cannot "
            f"share them evenly: use a multiple of {count}"
        )
    if count > 1 and options.hardware.device_map is not None:
        problems.append(
            f"hardware.device_map puts one model on several devices, and {count} ranks have a "
            "model each: use hardware.num_processes=1, or hardware=fsdp without a map"
        )
    return problems


def _check_limits(trainer: TrainerOptions) -> list[str]:
    if trainer.max_epochs is trainer.max_steps is trainer.max_duration is None:
        return [
            "training would never end: give trainer.max_epochs, trainer.max_steps or "
            "trainer.max_duration"
        ]
    return []


def _check_evaluations(trainer: TrainerOptions) -> list[str]:
    problems, follows = [], trainer.best_metric.startswith("evaluation.")
    if follows and trainer.patience is not None and trainer.evaluate_every is None:
        problems.append(
            "trainer.patience counts evaluations, and trainer.evaluate_every=null gives none "
            "on the way: give trainer.evaluate_every, or trainer.patience=null"
        )
    evaluates = trainer.evaluate_every or trainer.evaluate_at_start or trainer.evaluate_at_end
    if follows and not evaluates:
        problems.append(
            f"trainer.best_metric={trainer.best_metric} needs an evaluation, and all are switched "
            "off: give trainer.evaluate_every, or trainer.best_metric=train.loss"
        )
    return problems


def _check_scheduler(trainer: TrainerOptions, scheduler: Node | None) -> list[str]:
    if scheduler is None:
        return []
    if "_target_" not in scheduler:  # one for each of several optimizers
        return [p for each in scheduler.values() for p in _check_scheduler(trainer, each)]
    if scheduler["_target_"] == PLATEAU:
        return _check_plateau(trainer)
    if not needs_argument(scheduler, "total_steps"):
        return []
    name, problems = scheduler["_target_"], []
    if trainer.schedule_every == "evaluation":
        problems.append(
            f"scheduler: {name} must know its length, so trainer.schedule_every must be step or "
            "epoch, got evaluation"
        )
    if trainer.max_epochs is trainer.max_steps is None and trainer.max_duration is not None:
        problems.append(
            f"scheduler: {name} must know the number of steps, and trainer.max_duration alone does "
            "not tell: give trainer.max_steps or trainer.max_epochs, or scheduler=constant"
        )
    return problems


def _check_plateau(trainer: TrainerOptions) -> list[str]:
    if trainer.schedule_every != "evaluation":
        return [
            "scheduler=plateau follows the score of evaluations, so trainer.schedule_every must be "
            f"evaluation, got {trainer.schedule_every}"
        ]
    if trainer.evaluate_every is None:
        return [
            "scheduler=plateau follows the score of evaluations: give trainer.evaluate_every, or "
            "scheduler=constant"
        ]
    return []


def _check_rollback(options: Options) -> list[str]:
    if options.trainer.on_nonfinite != "rollback":
        return []
    if not options.checkpoint.enabled:
        return [
            "trainer.on_nonfinite=rollback goes back to a checkpoint, and checkpoint=off saves "
            "none: use one of them without the other"
        ]
    every = parse_optional(options.checkpoint.every)
    if every is not None and every.is_time:
        return [
            f"trainer.on_nonfinite=rollback with checkpoint.every={every}: what it goes back to "
            "would depend on the clock; give checkpoint.every in steps, epochs or evaluations"
        ]
    return []


def _check_device_map(options: Options) -> list[str]:
    hardware = options.hardware
    if hardware.device_map is None or hardware.sharding is None:
        return []
    return [
        "hardware.device_map and hardware.sharding=fsdp are two ways to spread one model: give one "
        "of them"
    ]


def _check_compile(options: Options) -> list[str]:
    if options.trainer.compile is False or options.hardware.sharding is None:
        return []
    return [
        f"trainer.compile={_as_typed(options.trainer.compile)} does not go with "
        "hardware.sharding=fsdp, whose weights come and go inside a forward pass: use one of them"
    ]


def _as_typed(value: bool | str) -> str:
    return str(value).lower()


def _check_debug(options: Options) -> list[str]:
    debug = options.debug
    if debug.overfit_batches and debug.limit_batches:
        return [
            "debug.overfit_batches and debug.limit_batches exclude each other: give one of them"
        ]
    return []

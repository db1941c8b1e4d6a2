"""Every knob that runner itself reads, with its one default: the home of the names a user types.

`conf/` repeats these defaults for reading; a test holds that both say the same. Durations are
texts such as "2 epochs", "500 steps", "3 evaluations" or "10 minutes" (see duration.py).
No torch here: `--help` imports this file.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from runner.config.checks import above_zero, at_least, is_duration, is_size, one_of, refuse
from runner.config.cluster import SlurmOptions
from runner.config.duration import PROGRESS_UNITS, SECONDS_PER_UNIT

COMPILE_MODES = ("dynamic", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


@dataclass(frozen=True, kw_only=True)
class TrainerOptions:
    """How long to train, and what happens on the way."""

    max_epochs: int | None = None
    max_steps: int | None = None
    max_duration: str | None = None  # minutes or hours
    log_every_steps: int = 50  # 0: never
    evaluate_every: str | None = "1 epochs"  # null: never on the way
    evaluate_at_start: bool = False
    evaluate_at_end: bool = True
    test_at_end: bool = True  # on the test split, with the best weights
    gradient_accumulation_steps: int = 1
    max_grad_norm: float | None = None
    schedule_every: str = "step"  # step | epoch | evaluation
    best_metric: str = "evaluation.loss"  # train. or evaluation. prefix
    best_mode: str = "min"  # min | max
    # Evaluations (for a train. metric: logged rows) without a better score before an early stop.
    patience: int | None = None
    patience_warmup: str | None = None  # early stopping does not count before this
    min_improvement: float = 0.0  # what counts as better, in units of the metric
    deterministic: bool = False  # operations without a deterministic form are refused
    ema_decay: float | None = None  # evaluate, test and predict with averaged weights
    on_nonfinite: str = "stop"  # a loss that is no number: stop | skip | rollback
    on_out_of_memory: str = "stop"  # stop | split: smaller micro-batches, the same step
    hang_timeout: str | None = "30 minutes"  # no sign of life for so long ends the job; null: never
    gradient_checkpointing: bool = False  # less memory: compute blocks again in backward
    log_grad_norm: bool = False  # also without clipping, which logs it anyway
    target_score: float | None = None  # training is over when best_metric reaches this
    compile: bool | str = False  # torch.compile: true, dynamic (shapes that vary), or its mode

    def __post_init__(self) -> None:
        refuse(
            at_least("trainer.max_epochs", self.max_epochs, 1),
            at_least("trainer.max_steps", self.max_steps, 1),
            is_duration("trainer.max_duration", self.max_duration, tuple(SECONDS_PER_UNIT)),
            at_least("trainer.log_every_steps", self.log_every_steps, 0, "0: never"),
            is_duration("trainer.evaluate_every", self.evaluate_every, ("steps", "epochs")),
            at_least("trainer.gradient_accumulation_steps", self.gradient_accumulation_steps, 1),
            above_zero("trainer.max_grad_norm", self.max_grad_norm, "null: no clipping"),
            one_of("trainer.schedule_every", self.schedule_every, ("step", "epoch", "evaluation")),
            _is_metric("trainer.best_metric", self.best_metric),
            one_of("trainer.best_mode", self.best_mode, ("min", "max")),
            at_least("trainer.patience", self.patience, 1, "null: no early stopping"),
            is_duration("trainer.patience_warmup", self.patience_warmup, PROGRESS_UNITS),
            at_least("trainer.min_improvement", self.min_improvement, 0),
            _is_decay("trainer.ema_decay", self.ema_decay),
            one_of("trainer.on_nonfinite", self.on_nonfinite, ("stop", "skip", "rollback")),
            one_of("trainer.on_out_of_memory", self.on_out_of_memory, ("stop", "split")),
            is_duration("trainer.hang_timeout", self.hang_timeout, tuple(SECONDS_PER_UNIT)),
            _is_compile("trainer.compile", self.compile),
        )


@dataclass(frozen=True, kw_only=True)
class LoaderOptions:
    """How samples become batches; these knobs stand in the `data` node beside the data's own."""

    batch_size: int = 64  # samples of one micro-batch over all ranks
    evaluation_batch_size: int | None = None  # null: batch_size
    num_workers: int = 0
    shuffle: bool = True
    drop_last: bool = False
    pin_memory: bool = True  # on CUDA: copying a batch to the GPU does not hold up the host

    def __post_init__(self) -> None:
        refuse(
            at_least("data.batch_size", self.batch_size, 1),
            at_least("data.evaluation_batch_size", self.evaluation_batch_size, 1),
            at_least("data.num_workers", self.num_workers, 0, "0: in the training process"),
        )


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """When to save and what to keep."""

    enabled: bool = True  # checkpoint=off
    # Also saved: a better score, the end, an interruption. null: only those.
    every: str | None = "5 minutes"
    keep_last: int = 2
    keep_best: int = 1
    keep_every_steps: int | None = None  # saved, and never deleted, at every such step
    best_above: float | None = None  # a better score is worth a checkpoint only above this ...
    best_below: float | None = None  # ... and below this
    max_shard_size: str | None = None  # "5 GB": weights in several files; null: in one
    dir: str | None = None  # null: checkpoints/ in the run directory

    def __post_init__(self) -> None:
        refuse(
            is_duration("checkpoint.every", self.every),
            at_least("checkpoint.keep_last", self.keep_last, 1, "to keep none: checkpoint=off"),
            at_least("checkpoint.keep_best", self.keep_best, 0),
            at_least("checkpoint.keep_every_steps", self.keep_every_steps, 1),
            is_size("checkpoint.max_shard_size", self.max_shard_size),
        )


@dataclass(frozen=True, kw_only=True)
class HardwareOptions:
    """Where to compute."""

    device: str = "auto"  # auto | cpu | cuda | cuda:1 | mps
    threads: int | None = None  # CPU threads of torch; null: all; frozen when the run starts
    num_processes: int = 1  # ranks that train together, on this machine
    sharding: str | None = None  # fsdp: parameters and optimizer spread over the ranks (FSDP2)
    device_map: str | dict[str, Any] | None = None  # auto, or by module: parts on several devices
    slurm: SlurmOptions = field(default_factory=SlurmOptions)  # asked of a cluster

    def __post_init__(self) -> None:
        refuse(
            _is_device("hardware.device", self.device),
            at_least("hardware.num_processes", self.num_processes, 1),
            one_of("hardware.sharding", self.sharding, ("fsdp",)),
            _is_device_map("hardware.device_map", self.device_map),
            at_least("hardware.threads", self.threads, 1, "null: all"),
        )


@dataclass(frozen=True, kw_only=True)
class PrecisionOptions:
    """In which number format to compute."""

    autocast: str | None = None  # null | bf16 | fp16
    tf32: bool = False  # TF32 matrix products on NVIDIA GPUs

    def __post_init__(self) -> None:
        refuse(one_of("precision.autocast", self.autocast, ("bf16", "fp16")))


@dataclass(frozen=True, kw_only=True)
class ParameterOptions:
    """Which parameters are trained, and how they differ; by default all are one group.

    Patterns are globs over the names of parameters and modules: "backbone.*", "*.bias", "head".
    """

    freeze: list[str] = field(default_factory=list)  # patterns of what is not trained
    lr_factors: dict[str, float] | None = None  # pattern -> times optimizer.lr; the last one counts
    layer_decay: float | None = None  # each block learns by this factor slower than the next one
    decay_biases_and_norms: bool = True  # false: no weight decay on them

    def __post_init__(self) -> None:
        refuse(
            _is_share("parameters.layer_decay", self.layer_decay, "null: all layers alike"),
            *(
                _is_factor(f"parameters.lr_factors.{pattern}", factor)
                for pattern, factor in (self.lr_factors or {}).items()
            ),
        )


@dataclass(frozen=True, kw_only=True)
class DebugOptions:
    """Ways to look at a run closely; all off by default."""

    fast_dev_run: bool = False  # three steps, two batches an evaluation, every stage once
    overfit_batches: int = 0  # train and evaluate on the first n batches only
    limit_batches: int = 0  # at most n batches an epoch and an evaluation
    profile: bool = False  # a torch profiler trace of steps 10-20 under plots/
    detect_anomaly: bool = False  # torch's anomaly detection: slow, names the operation

    def __post_init__(self) -> None:
        refuse(
            at_least("debug.overfit_batches", self.overfit_batches, 0, "0: off"),
            at_least("debug.limit_batches", self.limit_batches, 0, "0: off"),
        )


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """How a sweep (`-m`) is named, checked and continued; no part of any single run."""

    name: str | None = None  # of its folder; null: the swept keys and a hash of the base config
    retry: str = "failed"  # of earlier starts: failed | none | all (pruned ones too)
    check: str = "full"  # before the start: full | config | none
    check_timeout: str = "2 minutes"  # of the trial step of one model, data and task
    check_memory_gib: float | None = None
    keep_best: int | None = None  # runs that keep their checkpoints; null: all

    def __post_init__(self) -> None:
        refuse(
            _is_folder("sweep.name", self.name),
            one_of("sweep.retry", self.retry, ("failed", "none", "all")),
            one_of("sweep.check", self.check, ("full", "config", "none")),
            is_duration("sweep.check_timeout", self.check_timeout, tuple(SECONDS_PER_UNIT)),
            above_zero("sweep.check_memory_gib", self.check_memory_gib, "null: no limit"),
            at_least("sweep.keep_best", self.keep_best, 1, "null: all"),
        )


@dataclass(frozen=True, kw_only=True)
class Options:
    """All knobs of one run; what the Python `Trainer` takes."""

    seed: int = 0
    # What training begins with: a run, a checkpoint, a file of weights, a name on the Hub.
    init_weights_from: str | None = None
    init_weights_strict: bool = True  # false: take what fits
    trainer: TrainerOptions = field(default_factory=TrainerOptions)
    loader: LoaderOptions = field(default_factory=LoaderOptions)
    checkpoint: CheckpointOptions = field(default_factory=CheckpointOptions)
    hardware: HardwareOptions = field(default_factory=HardwareOptions)
    precision: PrecisionOptions = field(default_factory=PrecisionOptions)
    debug: DebugOptions = field(default_factory=DebugOptions)
    parameters: ParameterOptions = field(default_factory=ParameterOptions)

    def __post_init__(self) -> None:
        refuse(at_least("seed", self.seed, 0))


# A run whose config differs from another's in these keys alone gives the same result: they may be
# overridden on `resume`. One list, which the README repeats.
LAYOUT_KEYS = (
    "hardware.device",
    "hardware.num_processes",
    "hardware.sharding",
    "hardware.device_map",
    "hardware.slurm",
    "data.num_workers",
    "data.pin_memory",
    "trainer.max_epochs",
    "trainer.max_steps",
    "trainer.max_duration",
    "trainer.target_score",
    "trainer.hang_timeout",
    "trainer.gradient_checkpointing",  # the same operations on the same numbers
    # Weights and losses of a run that has met no such loss are the same with any of them; with
    # `skip` its rows tell grad_norm and skipped_share too.
    "trainer.on_nonfinite",
    "trainer.on_out_of_memory",
    "checkpoint",
    "trackers",
    "callbacks",
    "output_dir",
)


def _is_folder(key: str, name: str | None) -> str | None:
    if name is None or (name not in (".", "..") and re.fullmatch(r"[^/\\]+", name)):
        return None
    return f"{key} must be the name of a folder, got {name!r}"


def _is_metric(key: str, name: str) -> str | None:
    if re.fullmatch(r"(train|evaluation)\..+", name):
        return None
    return f"{key} must begin with train. or evaluation., such as evaluation.loss, got '{name}'"


def _is_decay(key: str, value: float | None) -> str | None:
    return _is_share(key, value, "null: no averaging")


def _is_compile(key: str, value: bool | str) -> str | None:
    if isinstance(value, bool) or value in COMPILE_MODES:
        return None
    return f"{key} must be true, false or one of {', '.join(COMPILE_MODES)}, got '{value}'"


def _is_share(key: str, value: float | None, otherwise: str) -> str | None:
    if value is None or 0 < value < 1:
        return None
    return f"{key} must be between 0 and 1 ({otherwise}), got {value}"


def _is_factor(key: str, value: object) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return None
    return f"{key} must be a number > 0 (to train nothing there: parameters.freeze), got {value!r}"


def _is_device(key: str, name: str) -> str | None:
    if re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        return None
    return f"{key} must be auto, cpu, cuda, cuda:1 or mps, got '{name}'"


def _is_device_map(key: str, value: str | dict[str, Any] | None) -> str | None:
    if value is None or value == "auto":
        return None
    if isinstance(value, str) or not value:
        return f"{key} must be auto, or name a device for each module, got {value!r} (null: none)"
    for module, device in value.items():
        if not re.fullmatch(r"cpu|mps|(cuda:)?\d+|cuda", str(device)):
            return f"{key}.{module} must be cpu, mps, cuda:0 or the number of a GPU, got {device!r}"
    return None

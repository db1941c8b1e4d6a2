"""`find-lr` and `find-batch-size`: what to set before a run, found by trying real steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from runner.cli.composing import compose_run
from runner.config.frozen import from_frozen
from runner.config.run_config import RunConfig
from runner.config.stamp import new_stamp
from runner.config.validate import validate
from runner.errors import ConfigError
from runner.runtime.launch import launch_of
from runner.training.parts import Parts
from runner.tuning.batch_size import Tried, find_batch_size
from runner.tuning.learning_rate import find_learning_rate
from runner.tuning.sized import sized
from runner.tuning.trial import trial_parts

_ROWS = 20  # of the table on the console
_SHARE_OF_MEMORY = 0.8  # of what is free on a machine without a GPU
_GIB = 1 << 30


def find_lr(overrides: Sequence[str], *, num_steps: int, start: float, end: float) -> None:
    """Print a table of losses by learning rate with a suggestion; write picture and table."""
    config = _compose(overrides)
    trainer = replace(config.trainer, ema_decay=None)
    parts = trial_parts(replace(config, trainer=trainer))
    found = find_learning_rate(parts, num_steps=num_steps, start=start, end=end)
    print(f"{'optimizer.lr':>12}  {'loss':>10}")
    stride = max(1, len(found.rates) // _ROWS)
    for rate, loss in list(zip(found.rates, found.smoothed, strict=True))[::stride]:
        print(f"{rate:12.2e}  {loss:10.4g}")
    folder = Path(config.output_dir) / config.name / "find_lr"
    for path in found.write(folder, new_stamp()):
        print(f"written: {path}")
    if found.suggestion is None:
        print("the loss falls at none of them: look at the data, or at the model")
    else:
        print(f"steepest descent: optimizer.lr={found.suggestion:.2g}")


def find_largest_batch(overrides: Sequence[str], *, memory_gib: float | None, largest: int) -> None:
    """Print what came of each size, and the largest data.batch_size that fits."""
    config = _compose(overrides)
    count = config.hardware.num_processes
    is_cpu = _computes_on_cpu(config)
    if is_cpu:
        memory_gib = memory_gib or _SHARE_OF_MEMORY * psutil.virtual_memory().available / _GIB
        memory_gib = memory_gib / count
        print(f"a process may take {memory_gib:.2f} GiB of memory")
    elif memory_gib is not None:
        raise ConfigError("--memory-gib is for the CPU: a GPU has the memory it has")
    accumulation = config.trainer.gradient_accumulation_steps
    print(f"{'data.batch_size':>15}  {'s/step':>8}  {'samples/s':>9}  {'GiB':>6}")
    found = find_batch_size(
        SizedRun(frozen=config.frozen),
        start=max(1, config.loader.batch_size // count),
        largest=max(1, largest // count),
        memory_gib=memory_gib,
        tell=lambda tried: print(_row(tried, count, accumulation), flush=True),
    )
    if found.is_all_of_the_data:
        print("a larger batch would have more samples than the data")
    if count > 1:
        print(f"tried as one of {count} processes, each with the whole model")
    print(f"the largest that fits: data.batch_size={found.largest * count}")


@dataclass(frozen=True, kw_only=True)
class SizedRun:
    """Builds the parts of a run with batches of another size."""

    frozen: Mapping[str, Any]

    def __call__(self, size: int) -> Parts:
        config = validate(from_frozen(self.frozen))
        return trial_parts(sized(config, size))


def _compose(overrides: Sequence[str]) -> RunConfig:
    if launch_of() is not None:
        raise ConfigError("this is found by one process: start it without torchrun or srun")
    cfg, choices = compose_run(overrides)
    return validate(cfg, choices=choices)


def _computes_on_cpu(config: RunConfig) -> bool:
    from runner.runtime.device import prepare_hardware

    return prepare_hardware(replace(config.hardware, num_processes=1)).type == "cpu"


def _row(tried: Tried, count: int, accumulation: int) -> str:
    size = tried.size * count
    if not tried.fits:
        return f"{size:15,}  does not fit"
    seconds = tried.size * accumulation / tried.samples_per_second
    speed = tried.samples_per_second * count
    return f"{size:15,}  {seconds:8.3f}  {speed:9.4g}  {tried.memory_gib:6.2f}"

"""Some real training steps, of which nothing stays."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from runner.build.from_config import build_parts
from runner.config.run_config import RunConfig
from runner.errors import ConfigError
from runner.runtime.device import prepare_hardware
from runner.runtime.seeds import preserved_random_state
from runner.tasks.task import has_own_epoch
from runner.training.averages import Averages
from runner.training.evaluation import preserved_modes
from runner.training.parts import Parts
from runner.training.position import TrainingData
from runner.training.progress import Progress
from runner.training.speed import Speedometer
from runner.training.stage import Stage
from runner.training.steps import step_for


class Steps:
    """The training steps of `parts`, one call each: no schedule, no callback, nothing written."""

    def __init__(self, parts: Parts) -> None:
        if has_own_epoch(parts.task):
            raise ConfigError(
                f"{type(parts.task).__name__} makes epochs of its own, so there is no step to try"
            )
        if parts.ranks.are_several:
            raise ConfigError("a trial of training steps is made in one process, not in several")
        trainer = parts.options.trainer
        self._accumulation = trainer.gradient_accumulation_steps
        self._averages = Averages(finite_only=False)
        self._progress = Progress(batches_per_epoch=parts.loaders["train"].num_batches)
        self._data = TrainingData(parts.loaders["train"], self._progress)
        self._step = step_for(parts, self._averages, speed=Speedometer(), between=lambda: None)
        parts.model.train()

    def __call__(self) -> tuple[float, int]:
        """Make a step; return its loss, for which the device is waited, and its samples."""
        micro_batches = self._data.take(self._accumulation)
        self._step(micro_batches, step=self._progress.step)
        self._step.stage = Stage.WHOLE
        samples = sum(micro.size for micro in micro_batches)
        self._progress.advance(
            batches=len(micro_batches), samples=samples, ends_epoch=self._data.is_epoch_over
        )
        loss = self._averages.means().get("loss", math.nan)
        self._averages.reset()
        return loss, samples


@contextmanager
def unchanged(parts: Parts) -> Iterator[None]:
    """Put weights, optimizer and random generators back to what they were before."""
    stateful = [parts.model, parts.optimizer, parts.precision.scaler]
    if parts.average.copy is not None:
        stateful.append(parts.average.copy)
    before = [copy.deepcopy(part.state_dict()) for part in stateful]
    with preserved_random_state(), preserved_modes(parts.model):
        try:
            yield
        finally:
            for part, state in zip(stateful, before, strict=True):
                part.load_state_dict(state)
            parts.close_loaders()


def trial_parts(config: RunConfig) -> Parts:
    """Return the parts of `config` for one process without schedule and callbacks."""
    alone = replace(
        config,
        scheduler=None,
        callbacks={},
        hardware=replace(config.hardware, num_processes=1, sharding=None),
    )
    parts = build_parts(alone, prepare_hardware(alone.hardware))
    parts.first_weights.load(parts.model, parts.average.copy)
    return parts

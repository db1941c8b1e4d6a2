"""Training and evaluating by hand: single steps and splits, outside of any run.

Nothing is logged, saved or counted; what changes is the model, and the optimizer that is kept here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from runner.config.options import LoaderOptions, Options
from runner.data.batches import num_samples_of
from runner.data.collate import the_only_one
from runner.data.epoch import MicroBatch
from runner.data.loader import Loader, evaluation_loader
from runner.errors import ConfigError
from runner.runtime.device import move
from runner.runtime.precision import Precision
from runner.tasks.task import Predictions, Task, has_own_epoch
from runner.training.averages import Averages
from runner.training.evaluation import evaluate, preserved_modes
from runner.training.parts import Parts
from runner.training.position import TrainingData
from runner.training.progress import Progress
from runner.training.speed import Speedometer
from runner.training.steps import step_for


class Hand:
    """Trains the model of `parts`, a step or an epoch at a time.

    Raises ConfigError for a schedule that waits for evaluations, which only a run has.
    """

    def __init__(self, parts: Parts) -> None:
        if parts.options.trainer.schedule_every == "evaluation":
            raise ConfigError(
                "trainer.schedule_every=evaluation is for fit(): by hand there are no evaluations "
                "that a schedule could follow; use step or epoch"
            )
        self._parts = parts
        self._averages = Averages()
        self._step = step_for(parts, self._averages, speed=Speedometer(), between=lambda: None)
        self._progress = Progress(batches_per_epoch=parts.loaders["train"].num_batches)
        self._data = TrainingData(parts.loaders["train"], self._progress)
        self._steps = 0

    def train_step(self, batch: Any) -> dict[str, float]:
        """Update the weights once on `batch`; return the loss and what else the task logs."""
        if has_own_epoch(self._parts.task):
            raise ConfigError(
                f"{type(self._parts.task).__name__} trains whole epochs: use train_epoch()"
            )
        self._averages.reset()
        self._update([_micro_batch(batch)])
        return self._averages.means()

    def train_epoch(self) -> dict[str, float]:
        """Train on the next epoch of the data; return the means over it."""
        self._averages.reset()
        accumulation = self._parts.options.trainer.gradient_accumulation_steps
        epoch = self._progress.epoch
        while self._progress.epoch == epoch:
            micro_batches = self._data.take(accumulation)
            samples = self._update(micro_batches)
            self._progress.advance(
                batches=len(micro_batches), samples=samples, ends_epoch=self._data.is_epoch_over
            )
        if self._parts.options.trainer.schedule_every == "epoch":
            self._parts.schedule.step()
        return self._averages.means()

    def close(self) -> None:
        """End the workers that load data."""
        self._parts.close_loaders()

    def _update(self, micro_batches: list[MicroBatch]) -> int:
        self._parts.model.train()
        samples = self._step(micro_batches, step=self._steps)
        self._steps += 1
        if self._parts.options.trainer.schedule_every == "step":
            self._parts.schedule.step()
        return samples


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Evaluates a model, and says what it predicts."""

    model: nn.Module
    task: Task
    device: torch.device
    options: Options

    def measure(self, loader: Loader) -> dict[str, float]:
        """Return the metrics of the task over `loader`, which is closed."""
        try:
            return evaluate(
                self.model.to(self.device),
                self.task,
                loader,
                device=self.device,
                precision=self._precision,
                seed=self.options.seed,
                on_batch=lambda _batch, _predictions: None,
            )
        finally:
            loader.close()

    def measure_all(self, loaders: Mapping[str, Loader]) -> dict[str, float]:
        """Return the metrics over each of `loaders`, called "NAME.loss" where it has a name."""
        values: dict[str, float] = {}
        for own, loader in loaders.items():
            found = self.measure(loader)
            values |= {f"{own}.{name}" if own else name: value for name, value in found.items()}
        return values

    def measure_batch(self, batch: Any) -> dict[str, float]:
        """Return the metrics of the task on one batch, as the loader gives it."""
        _check_batch(batch)
        loader = evaluation_loader(
            [batch],
            LoaderOptions(batch_size=1),
            seed=self.options.seed,
            collate=the_only_one,
            pin_memory=False,
        )
        return self.measure(loader)

    def predict(self, *loaders: Loader) -> Predictions:
        """Return what the model says about every sample of `loaders`, in their order."""
        self.model.to(self.device)
        try:
            with preserved_modes(self.model):
                self.model.eval()
                said = [self._said(micro) for loader in loaders for micro in _batches_of(loader)]
        finally:
            for loader in loaders:
                loader.close()
        return _joined(said)

    def _said(self, micro: MicroBatch) -> Predictions:
        batch = move(self.task.prepare(micro.content), self.device)
        with torch.inference_mode(), self._precision.autocast():
            return self.task.predict(self.model, batch)

    @property
    def _precision(self) -> Precision:
        return Precision(self.options.precision, self.device)


def _batches_of(loader: Loader) -> Iterator[MicroBatch]:
    epoch = loader.epoch(0)
    while not epoch.is_over:
        yield from epoch.take(1)


def _micro_batch(batch: Any) -> MicroBatch:
    _check_batch(batch)
    size = num_samples_of(batch)
    return MicroBatch(batch, size, slice(0, size))


def _check_batch(batch: Any) -> None:
    """Raise what is wrong with `batch` at sight: that it is no batch, or an empty one."""
    is_container = isinstance(batch, Mapping | list | tuple)
    if isinstance(batch, Tensor) or (is_container and batch):
        return
    raise ConfigError(
        "a batch must be a tensor, a tuple, a list or a mapping of such, as a loader gives it, "
        f"got {'an empty ' if is_container else ''}{type(batch).__name__}"
    )


def _joined(said: list[Predictions]) -> Predictions:
    """Return the predictions of several batches as those of one."""
    if not said:
        return Predictions([], [])
    columns: dict[str, Any] = {}
    for field in fields(said[0]):
        lists = [getattr(each, field.name) for each in said]
        has_all = all(isinstance(part, list) for part in lists)
        columns[field.name] = [item for part in lists for item in part] if has_all else None
    return type(said[0])(**columns)

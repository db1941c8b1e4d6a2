"""A task and its loaders that tell what they are about to do: so that a failure has a name."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from runner.data.data import Batch
from runner.data.epoch import Epoch, MicroBatch
from runner.data.lengths import Lengths
from runner.data.loader import Loader
from runner.metrics.metric import Metric
from runner.tasks.task import TRAINING_METHODS, Predictions, StepOutput, Task


class Stage:
    """Where a rehearsal stands, and on which batch; `tell` hears of a stage before it begins."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.name = "preparing the hardware"
        self.batch = ""  # "images 64x1x32x128, labels 64": of the last one
        self.training_batch = ""

    def __call__(self, name: str) -> None:
        if name != self.name:
            self.name = name
            self._tell(name)


class ObservedTask:
    """The task `task`, telling a `stage` what it is asked to do; it has the methods `task` has."""

    def __init__(self, task: Task, stage: Stage) -> None:
        self._task = task
        self._stage = stage

    def prepare(self, batch: Any) -> Batch:
        self._stage("preparing a batch")
        prepared = self._task.prepare(batch)
        self._stage.batch = shapes_of(prepared)
        self._stage("moving and augmenting a batch")
        return prepared

    def __getattr__(self, name: str) -> Any:
        own = getattr(self._task, name)  # or there is none
        return getattr(self, f"_{name}") if name in TRAINING_METHODS else own

    def _training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        self._begin("the forward pass", batch)
        output = self._task.training_step(model, batch)  # type: ignore[attr-defined]
        self._stage("the backward pass")
        return output

    def _alternating_step(self, model: Any, batch: Batch, update: Any) -> StepOutput:
        self._begin("the alternating step", batch)
        output = self._task.alternating_step(model, batch, update)  # type: ignore[attr-defined]
        self._stage("what follows a step")
        return output

    def _training_epoch(self, model: nn.Module, batches: Iterator[Batch], update: Any) -> Any:
        def told() -> Iterator[Batch]:
            for batch in batches:
                self._begin("the epoch", batch)
                yield batch

        values = self._task.training_epoch(model, told(), update)  # type: ignore[attr-defined]
        self._stage("what follows an epoch")
        return values

    def _begin(self, stage: str, batch: Batch) -> None:
        self._stage(stage)
        self._stage.batch = self._stage.training_batch = shapes_of(batch)

    def metrics(self) -> dict[str, Metric]:
        return self._task.metrics()

    def evaluation_step(
        self, model: nn.Module, batch: Batch, metrics: Mapping[str, Metric]
    ) -> Predictions:
        self._stage("the evaluation of a batch")
        return self._task.evaluation_step(model, batch, metrics)

    def predict(self, model: nn.Module, batch: Batch) -> Predictions:
        return self._task.predict(model, batch)


class ObservedLoader:
    """The loader of `split`, telling a `stage` when a batch is loaded; at most `limit` of them."""

    def __init__(self, loader: Loader, split: str, stage: Stage, *, limit: int | None) -> None:
        self._loader = loader
        self._split = split
        self._stage = stage
        self._limit = limit

    @property
    def reads_ahead(self) -> bool:
        return self._loader.reads_ahead

    @property
    def lengths(self) -> Lengths | None:
        return self._loader.lengths

    @property
    def num_batches(self) -> int | None:
        return self._loader.num_batches if self._limit is None else self._limit

    def epoch(self, number: int, start: int = 0, state: dict[str, Any] | None = None) -> Epoch:
        self._stage(f"loading a batch of the {self._split} split")
        epoch = self._loader.epoch(number, start, state)
        return _ObservedEpoch(epoch, self._split, self._stage, limit=self._limit)

    def close(self) -> None:
        self._loader.close()


class _ObservedEpoch:
    def __init__(self, epoch: Epoch, split: str, stage: Stage, *, limit: int | None) -> None:
        self._epoch = epoch
        self._split = split
        self._stage = stage
        self._left = limit

    @property
    def is_over(self) -> bool:
        return self._left == 0 or self._epoch.is_over

    def take(self, count: int) -> list[MicroBatch]:
        self._stage.batch = ""
        self._stage(f"loading a batch of the {self._split} split")
        taken = self._epoch.take(count)
        if self._left is not None:
            self._left -= len(taken)
        return taken

    def end(self) -> None:
        self._epoch.end()

    def state_dict(self) -> dict[str, Any]:
        return self._epoch.state_dict()


def shapes_of(batch: object) -> str:
    """Return what tensors are in `batch`: "images 64x1x32x128, labels 64"."""
    if not isinstance(batch, Mapping):
        return ""
    return ", ".join(
        f"{name} {'x'.join(map(str, value.shape)) or 'a number'}"
        for name, value in batch.items()
        if isinstance(value, Tensor)
    )

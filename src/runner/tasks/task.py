"""`Task`: the seam between the trainer and one kind of problem.

The trainer owns backward, accumulation, clipping, the optimizers and the schedulers; a task knows
what a batch means. A task keeps no state of its own.

A task says how it is trained by one of three methods, the last of them that it has:

    training_step       one optimizer, one loss a batch: what most need
    alternating_step    several optimizers, which take turns on a batch (GANs)
    training_epoch      a whole epoch of one's own
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeGuard

from torch import Tensor, nn

from runner.data.data import Batch
from runner.errors import RunError
from runner.metrics.metric import Metric

TRAINING_METHODS = ("training_step", "alternating_step", "training_epoch")


@dataclass(slots=True)  # not frozen: one is made at every step
class StepOutput:
    """The result of one forward pass in training.

    `loss` is the mean over `num_targets` targets (samples, characters, tokens), which is its weight
    when micro-batches are accumulated; a sum of sample weights counts as well. `values` are further
    scalars to log, left on the device.
    """

    loss: Tensor
    num_targets: float
    values: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model says about a batch, readable: one text and one confidence (0-1) a sample."""

    texts: list[str]
    confidences: list[float]
    targets: list[str] | None = None


NOTHING = Predictions([], [], [])  # of no sample


def no_step_output(task: object, method: str, given: object) -> RunError:
    """Return what to raise when a task's step `given` something else than a `StepOutput`."""
    return RunError(
        f"{type(task).__name__}.{method} returned a {type(given).__name__}: it has to return "
        "StepOutput(loss, num_targets), the mean loss (a tensor) and of how many targets it is"
    )


class Update(Protocol):
    """Callable: one update of the parameters of one optimizer, and of no others."""

    def __call__(self, loss: Tensor, num_targets: float | None = None) -> Tensor:
        """Do backward from `loss`, clipping and the optimizer's step; the gradients are gone then.

        Returns the mean of `loss` over all processes, detached: what one process would have found.

        `loss` is the mean over `num_targets` targets of this process (None: the samples of the
        batch taken last), its weight where several processes train together: all of them call this.
        """
        ...


class Task(Protocol):
    """One kind of problem; how it is trained says `StepTask`, `AlternatingTask` or `EpochTask`.

    With a method `evaluation_epoch(model, batches, metrics)` it evaluates a whole split at once
    in place of `evaluation_step`: `batches` is an iterator as in `EpochTask`.
    """

    def prepare(self, batch: Any) -> Batch:
        """Turn what the loader gives into a batch, on the host; the trainer moves it on."""
        ...

    def metrics(self) -> dict[str, Metric]:
        """Return new, empty metrics, `loss` among them."""
        ...

    def evaluation_step(
        self, model: nn.Module, batch: Batch, metrics: Mapping[str, Metric]
    ) -> Predictions:
        """Predict and update `metrics`."""
        ...

    def predict(self, model: nn.Module, batch: Batch) -> Predictions: ...


class StepTask(Task, Protocol):
    """One optimizer, and one loss a batch."""

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput: ...


class AlternatingTask(Task, Protocol):
    """Several optimizers that take turns."""

    def alternating_step(
        self, model: nn.ModuleDict, batch: Batch, update: Mapping[str, Update]
    ) -> StepOutput:
        """Update the parts of `model` on one batch; return what to log.

        `update[NAME](loss)` updates model[NAME] by optimizer NAME, as often as wanted. A loss is to
        be computed after the updates that it builds on.
        """
        ...


class EpochTask(Task, Protocol):
    """An epoch of one's own, which is one step to the trainer."""

    def training_epoch(
        self, model: nn.Module, batches: Iterator[Batch], update: Mapping[str, Update]
    ) -> Mapping[str, Tensor]:
        """Train on one epoch; return the scalars of its row in the journal, `loss` among them.

        `batches` gives prepared batches on the device, read when asked for. The name of a single
        optimizer is "optimizer". Where several processes train together, one that has none of the
        samples of a batch is given one that does not count: take the mean of what `update` returns,
        which knows, not of one's own losses. Values are weighed by the samples of each process.
        """
        ...


class EvaluationEpochTask(Task, Protocol):
    """A task that evaluates a whole split at once."""

    def evaluation_epoch(
        self, model: nn.Module, batches: Iterator[Batch], metrics: Mapping[str, Metric]
    ) -> None: ...


def has_own_epoch(task: Task) -> TypeGuard[EpochTask]:
    """Return whether `task` trains whole epochs itself."""
    return hasattr(task, "training_epoch")


def is_alternating(task: Task) -> TypeGuard[AlternatingTask]:
    """Return whether `task` lets several optimizers take turns on a batch."""
    return hasattr(task, "alternating_step") and not has_own_epoch(task)


def has_step(task: Task) -> TypeGuard[StepTask]:
    """Return whether `task` has one loss a batch and leaves the rest to the trainer."""
    return hasattr(task, "training_step") and not (has_own_epoch(task) or is_alternating(task))


def evaluates_whole_splits(task: Task) -> TypeGuard[EvaluationEpochTask]:
    """Return whether `task` evaluates a split at once."""
    return hasattr(task, "evaluation_epoch")

"""`Task`: the seam between the trainer and one kind of problem.

The trainer owns backward, accumulation, clipping, the optimizer and the scheduler; a task knows
what a batch means. A task keeps no state of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from runner.data.data import Batch
from runner.metrics.metric import Metric


@dataclass(slots=True)  # not frozen: one is made at every step
class StepOutput:
    """The result of one forward pass in training.

    `loss` is the mean over `num_targets` targets (samples, characters, tokens), which is its weight
    when micro-batches are accumulated. `values` are further scalars to log, left on the device.
    """

    loss: Tensor
    num_targets: int
    values: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model says about a batch, readable: one text and one confidence (0-1) a sample."""

    texts: list[str]
    confidences: list[float]
    targets: list[str] | None = None


NOTHING = Predictions([], [], [])  # of no sample


class Task(Protocol):
    """One kind of problem."""

    def prepare(self, batch: Any) -> Batch:
        """Turn what the loader gives into a batch, on the host; the trainer moves it on."""
        ...

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput: ...

    def metrics(self) -> dict[str, Metric]:
        """Return new, empty metrics, `loss` among them."""
        ...

    def evaluation_step(
        self, model: nn.Module, batch: Batch, metrics: Mapping[str, Metric]
    ) -> Predictions:
        """Predict and update `metrics`."""
        ...

    def predict(self, model: nn.Module, batch: Batch) -> Predictions: ...

"""Evaluate a trained model on one dataset, telling of every sample what was predicted."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from runner.data.data import Batch
from runner.data.loader import Loader
from runner.metrics.calibration import UNCALIBRATED, Calibration, Uncalibrated
from runner.runtime.precision import Precision
from runner.tasks.task import Predictions, Task
from runner.training.evaluation import evaluate


@dataclass(frozen=True, slots=True)
class Judged:
    """What was predicted for one sample, named by its file or its number in the split."""

    sample: str
    target: str
    text: str
    confidence: float


OnSample = Callable[[Judged], None]


class Mistakes:
    """Counts the samples it is told, and keeps those of the wrong ones that were most confident.

    Without confidences (all of them 1) there is no worst one, and of predicted numbers none is
    right to the last digit: then `worst` is empty and `num_wrong` None.
    """

    def __init__(self, keep: int = 10) -> None:
        self.num_samples = 0
        self._keep = keep
        self._num_wrong = 0
        self._has_confidences = False
        self._heap: list[tuple[float, int, Judged]] = []

    def __call__(self, judged: Judged) -> None:
        """Take one more sample."""
        self.num_samples += 1
        self._has_confidences |= judged.confidence != 1.0
        if judged.text == judged.target:
            return
        self._num_wrong += 1
        entry = (judged.confidence, -self.num_samples, judged)
        push = heapq.heappush if len(self._heap) < self._keep else heapq.heappushpop
        push(self._heap, entry)

    @property
    def num_wrong(self) -> int | None:
        """How many samples were not predicted exactly."""
        return self._num_wrong if self._has_confidences else None

    @property
    def worst(self) -> list[Judged]:
        """The wrong ones, the most confident first."""
        if not self._has_confidences:
            return []
        return [judged for *_, judged in sorted(self._heap, reverse=True)]


def evaluate_split(
    model: nn.Module,
    task: Task,
    loader: Loader,
    *,
    device: torch.device,
    precision: Precision,
    on_sample: OnSample,
    calibration: Calibration | Uncalibrated = UNCALIBRATED,
    seed: int = 0,
    names: Sequence[str] = (),
    on_batch: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Return the task's metrics over `loader`; `on_sample` is told of each sample, in its order.

    `calibration` makes the confidences probabilities to be right. `names` are those of the samples
    (files of pictures) in the order of the split, if any. A task that evaluates whole splits, and
    one without targets, tells of no sample. `on_batch` is called after each batch.
    """
    number = 0

    def keep(_batch: Batch, predictions: Predictions | None) -> None:
        nonlocal number
        on_batch()
        if predictions is None:
            return
        targets = predictions.targets or [""] * len(predictions.texts)
        confidences = calibration(predictions.confidences)
        for target, text, confidence in zip(targets, predictions.texts, confidences, strict=True):
            name = names[number] if number < len(names) else str(number)
            on_sample(Judged(name, target, text, confidence))
            number += 1

    return evaluate(
        model, task, loader, device=device, precision=precision, seed=seed, on_batch=keep
    )

"""Evaluate a trained model on one split, with what it said about every sample."""

from collections.abc import Sequence
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


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a split, and every sample in the order of the split."""

    values: dict[str, float]
    samples: list[Judged]

    def mistakes(self) -> list[Judged]:
        """Return the samples that were not predicted exactly, the most confident first."""
        wrong = [sample for sample in self.samples if sample.text != sample.target]
        return sorted(wrong, key=lambda sample: -sample.confidence)


def evaluate_split(
    model: nn.Module,
    task: Task,
    loader: Loader,
    *,
    device: torch.device,
    precision: Precision,
    calibration: Calibration | Uncalibrated = UNCALIBRATED,
    seed: int = 0,
    names: Sequence[str] = (),
) -> Evaluation:
    """Return the task's metrics over `loader` and each sample with its prediction.

    `calibration` makes the confidences probabilities to be right. `names` are those of the samples
    (files of pictures) in the order of the split, if any.
    """
    samples: list[Judged] = []

    def keep(_batch: Batch, predictions: Predictions | None) -> None:
        if predictions is None:
            return
        targets = predictions.targets or [""] * len(predictions.texts)
        confidences = calibration(predictions.confidences)
        rows = zip(targets, predictions.texts, confidences, strict=True)
        for target, text, confidence in rows:
            number = len(samples)
            name = names[number] if number < len(names) else str(number)
            samples.append(Judged(name, target, text, confidence))

    values = evaluate(
        model, task, loader, device=device, precision=precision, seed=seed, on_batch=keep
    )
    return Evaluation(values, samples)

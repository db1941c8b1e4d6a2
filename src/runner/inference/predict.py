"""Read pictures with a trained model."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from PIL import Image
from torch import Tensor, nn

from runner.errors import DataError
from runner.inference.pictures import Source, load_source
from runner.metrics.calibration import UNCALIBRATED, Calibration, Uncalibrated
from runner.runtime.device import move
from runner.runtime.precision import Precision
from runner.tasks.task import Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from one picture; `confidence` is between 0 and 1."""

    file: str
    text: str
    confidence: float


def warn_unreadable(_file: Source, error: DataError) -> None:
    """Log that a file was left out; `error` names it and says why."""
    logger.warning("left out: %s", error)


def predict_pictures(
    model: nn.Module,
    task: Task,
    preprocessor: Callable[[Image.Image], Tensor],
    files: Iterable[Source],
    *,
    device: torch.device,
    precision: Precision,
    calibration: Calibration | Uncalibrated = UNCALIBRATED,
    batch_size: int = 64,
    on_unreadable: Callable[[Source, DataError], None] = warn_unreadable,
) -> Iterator[Reading]:
    """Yield what `model` reads in each of `files`, in their order, as soon as a batch is done.

    `calibration` makes the confidence a probability to be right. A file that holds no picture is
    handed to `on_unreadable` and left out.
    """
    model.eval()
    readable = _load_each(files, preprocessor, on_unreadable)
    while loaded := list(islice(readable, batch_size)):
        batch = task.prepare({"image": torch.stack([picture for _, picture in loaded])})
        with torch.inference_mode(), precision.autocast():
            predictions = task.predict(model, move(batch, device))
        confidences = calibration(predictions.confidences)
        pairs = zip(predictions.texts, confidences, strict=True)
        for (file, _), (text, confidence) in zip(loaded, pairs, strict=True):
            yield Reading(str(file), text, confidence)


def _load_each(
    files: Iterable[Source],
    preprocessor: Callable[[Image.Image], Tensor],
    on_unreadable: Callable[[Source, DataError], None],
) -> Iterator[tuple[Source, Tensor]]:
    for file in files:
        try:
            yield file, preprocessor(load_source(file))
        except DataError as error:
            on_unreadable(file, error)

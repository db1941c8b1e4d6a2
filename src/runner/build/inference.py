"""Build a reader from a run: the trained model with what it needs to read new pictures."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from runner.build.trained import trained_step
from runner.build.trusted import trusted_config
from runner.checkpoint.store import CheckpointStore
from runner.config.instantiate import instantiate
from runner.config.options import HardwareOptions
from runner.config.run_config import RunConfig
from runner.data.pictures import find_pictures
from runner.errors import RunError
from runner.inference.predict import predict_pictures
from runner.metrics.calibration import UNCALIBRATED, Calibration, Uncalibrated
from runner.run.directory import RunDirectory
from runner.runtime.device import prepare_hardware
from runner.runtime.precision import Precision
from runner.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A trained model that reads pictures."""

    model: nn.Module
    task: Task
    preprocessor: Callable[[Image.Image], Tensor]
    device: torch.device
    precision: Precision
    calibration: Calibration | Uncalibrated = UNCALIBRATED

    def read(self, paths: Iterable[Path]) -> Iterator[dict[str, str | float]]:
        """Yield file, text and confidence (0-1) for each picture in `paths`, files or folders."""
        readings = predict_pictures(
            self.model,
            self.task,
            self.preprocessor,
            list(find_pictures(paths)),
            device=self.device,
            precision=self.precision,
            calibration=self.calibration,
        )
        return (asdict(reading) for reading in readings)


def load_reader(path: Path, *, device: str = "auto", step: int | None = None) -> Reader:
    """Return the reader that the run in `path` trained, with its best weights or those of `step`.

    Its data need not be there. Raises RunnerError for a run that is none or reads no pictures.
    """
    directory = RunDirectory(path)
    config = trusted_config(directory)
    place = prepare_hardware(HardwareOptions(device=device, threads=config.hardware.threads))
    model = instantiate(config.model, "model")
    chosen = trained_step(directory, step)
    CheckpointStore(directory.checkpoints).read_weights(chosen, model)
    return Reader(
        model=model.to(place).eval(),
        task=instantiate(config.task, "task"),
        preprocessor=_preprocessor(config, path),
        device=place,
        precision=Precision(config.precision, place),
        calibration=calibration_of(directory, chosen),
    )


def calibration_of(directory: RunDirectory, step: int) -> Calibration | Uncalibrated:
    """Return what the evaluation of `step` has taught about the confidence of its weights."""
    if not directory.calibration.is_file():
        return UNCALIBRATED
    try:
        steps = json.loads(directory.calibration.read_text(encoding="utf-8"))
        fitted = steps.get(str(step))
        return UNCALIBRATED if fitted is None else Calibration(**fitted)
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{directory.calibration} cannot be read ({error}): delete it to have the model's own "
            "confidences"
        ) from error


def _preprocessor(config: RunConfig, path: Path) -> Callable[[Image.Image], Tensor]:
    node = config.data.get("preprocessor")
    if not isinstance(node, dict):
        raise RunError(
            f"{path} reads no pictures (its data has no preprocessor): `evaluate` writes what it "
            "predicts for its data, and in Python Run(path).load_model() gives the model"
        )
    return instantiate(node, "data.preprocessor")

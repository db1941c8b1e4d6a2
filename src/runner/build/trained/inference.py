"""Build a reader from a run or an exported model: with all it needs to read new pictures.

reader = load_reader("outputs/plate_ocr/2026-11-21_10-30-00_1a2b3c4d")
for reading in reader.read(["plates/"]):
    print(reading["file"], reading["text"], reading["confidence"])
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from runner.build.trained.result import step_to_use, trained_step
from runner.build.trained.used_run import config_to_use, run_to_use
from runner.build.trained.weights import load_trained_weights
from runner.config.instantiate import instantiate
from runner.config.options import HardwareOptions, PrecisionOptions
from runner.config.run_config import RunConfig
from runner.config.trust import Trust
from runner.errors import ConfigError, RunError, did_you_mean
from runner.inference.onnx_model import FILE as ONNX
from runner.inference.onnx_model import load_onnx
from runner.inference.pictures import Given, sources_of
from runner.inference.predict import predict_pictures
from runner.metrics.calibration import UNCALIBRATED, Calibration, Uncalibrated
from runner.run.directory import RunDirectory
from runner.run.model_card import is_exported
from runner.runtime.device import prepare_hardware
from runner.runtime.precision import Precision
from runner.tasks.task import Task

ENGINES = ("torch", "onnx")


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A trained model that reads pictures."""

    model: nn.Module
    task: Task
    preprocessor: Callable[[Image.Image], Tensor]
    device: torch.device
    precision: Precision
    calibration: Calibration | Uncalibrated = UNCALIBRATED

    def __repr__(self) -> str:
        name = type(self.model).__name__
        return f"Reader({name} on {self.device}, confidence: {self.calibration})"

    def read(
        self, pictures: Given | Iterable[Given], *, batch_size: int = 64
    ) -> Iterator[dict[str, str | float]]:
        """Yield file, text and confidence (0-1) for each of `pictures`, as soon as it is read.

        They are files, folders, PIL pictures or arrays (height, width) or (height, width, 3) of
        uint8, in any mixture, also from a generator. One that is no file is named by its number.
        What holds no picture is logged and left out; DataError for a path that leads nowhere, and
        for what is neither of these.
        """
        readings = predict_pictures(
            self.model,
            self.task,
            self.preprocessor,
            sources_of(pictures),
            device=self.device,
            precision=self.precision,
            calibration=self.calibration,
            batch_size=batch_size,
        )
        return (asdict(reading) for reading in readings)


def load_reader(
    path: str | Path,
    *,
    device: str = "auto",
    step: int | None = None,
    engine: str = "torch",
    trust: bool | str | Iterable[str] | Trust = (),
) -> Reader:
    """Return the reader that was trained in `path`, a run's directory or an exported model.

    A run has its best weights, or those of `step`. Its data need not be there. With the `engine`
    "onnx" it is the model.onnx of an exported model that reads, on the CPU; of a run that in its
    folder "export", if it has the same weights. Of what comes from
    elsewhere, `trust` says whose code its config may name: packages, or True for all. Raises
    RunnerError for what is neither, or reads no pictures.
    """
    directory = run_to_use(Path(path))
    config = config_to_use(directory, trust=Trust.of(trust))
    place = _place(engine, device, config.hardware.threads)
    chosen = step_to_use(directory, step)
    if engine == "onnx":
        directory = _with_onnx(directory, chosen)
    preprocessor = _preprocessor(config, directory.path)
    if engine == "onnx":
        model, options = load_onnx(directory.path / ONNX), PrecisionOptions()
    else:
        model = load_trained_weights(instantiate(config.model, "model"), directory, chosen)
        options = config.precision
    return Reader(
        model=model.to(place),
        task=instantiate(config.task, "task"),
        preprocessor=preprocessor,
        device=place,
        precision=Precision(options, place),
        calibration=calibration_of(directory, chosen),
    )


def _place(engine: str, device: str, threads: int | None) -> torch.device:
    if engine not in ENGINES:
        raise ConfigError(
            f"engine must be one of {', '.join(ENGINES)}, got '{engine}'"
            + did_you_mean(engine, ENGINES)
        )
    if engine == "onnx" and device not in ("auto", "cpu"):
        raise ConfigError(f"engine=onnx reads on the CPU: device must be auto or cpu, got {device}")
    wanted = "cpu" if engine == "onnx" else device
    return prepare_hardware(HardwareOptions(device=wanted, threads=threads))


def _with_onnx(directory: RunDirectory, step: int) -> RunDirectory:
    """Return the model that was exported from a run as ONNX; RunError for one of another step."""
    exported = RunDirectory(directory.export)
    if is_exported(directory) or (directory.path / ONNX).is_file():
        return directory
    if not (exported.path / ONNX).is_file():
        raise RunError(
            f"there is no {exported.path / ONNX}: python -m runner export {directory.path} --onnx "
            "writes it"
        )
    if (own := trained_step(exported)) != step:
        raise RunError(
            f"{exported.path / ONNX} is the model of step {own}, and step {step} is asked for: "
            f"python -m runner export {directory.path} --onnx --step {step} --force writes that"
        )
    return exported


def calibration_of(directory: RunDirectory, step: int) -> Calibration | Uncalibrated:
    """Return what the evaluation of `step` has taught about the confidence of its weights."""
    if not directory.calibration.is_file():
        return Uncalibrated(
            "the run has fitted no map (its evaluations do, with callbacks.calibration)"
        )
    try:
        steps = json.loads(directory.calibration.read_text(encoding="utf-8"))
        fitted = steps.get(str(step))
        if fitted is None:
            return Uncalibrated(f"the run has fitted no map at step {step} (its evaluations do)")
        return Calibration(**fitted)
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

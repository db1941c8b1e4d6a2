"""Evaluate the run in a directory: on a split of its data as in training, or on other data.

The run may be under way: it is only read, but for the folder of results.
"""

import csv
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import torch

from runner.build.assemble import make_deterministic
from runner.build.compiling import compile_model
from runner.build.debugging import apply_debug, debug_data
from runner.build.loaders import build_evaluation_loader
from runner.build.trained.asked import Asked, key_of
from runner.build.trained.evaluated_data import (
    compare_data,
    datasets_of,
    num_samples_of,
    step_of_seed,
)
from runner.build.trained.inference import calibration_of
from runner.build.trained.result import step_to_use, trained_step
from runner.build.trained.used_run import config_to_use, run_to_use
from runner.build.trained.weights import load_trained_weights
from runner.checkpoint.manifest import step_path
from runner.config.instantiate import instantiate
from runner.config.run_config import RunConfig
from runner.data.data import Data
from runner.data.fingerprint import fingerprint
from runner.errors import CheckpointError, ConfigError, RunError, RunnerError
from runner.inference.call import first_line
from runner.inference.evaluate import Judged, Mistakes, evaluate_split
from runner.inference.progress import Batches
from runner.inference.rows import six_digits
from runner.metrics.calibration import UNCALIBRATED
from runner.run.directory import RunDirectory
from runner.run.evaluations import (
    PREDICTIONS,
    Evaluation,
    check_name,
    commit,
    default_name,
    new_evaluation,
    refuse_taken,
)
from runner.runtime.device import prepare_hardware
from runner.runtime.device_map import spread_over_devices
from runner.runtime.precision import Precision
from runner.runtime.seeds import mix, seed_everything

_MISFITS = (RuntimeError, ValueError, TypeError, LookupError, AssertionError)  # of torch and tasks
_TRIES = 3  # a checkpoint may go while it is read: a training deletes the older ones


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What came of it: `folder` has it; not `is_new` if the same was found there before.

    With a `problem` it could not be kept in `folder`, for that reason.
    """

    evaluation: Evaluation
    folder: Path
    is_new: bool
    problem: str
    device: torch.device
    worst: list[Judged]


def evaluate_run(asked: Asked) -> Evaluated:
    """Evaluate and write evaluations/NAME in the run's directory, or NAME in `asked.to`.

    The metrics are those of the task, by the code, the seeds and the batches of a training. Raises
    RunnerError for what is no run, for a name that is taken by another question, and for a split, a
    step or overrides that cannot be.
    """
    if asked.name is not None:
        check_name(asked.name)
    directory = run_to_use(asked.path)
    config = config_to_use(directory, overrides=asked.overrides, trust=asked.trust)
    device = _device(asked, config)
    options = apply_debug(config.options)
    make_deterministic(options.trainer.deterministic)
    seed_everything(config.seed)  # data may draw numbers when it is built, as in training
    asked.tell("loading the data")
    data = debug_data(instantiate(config.data, "data"), options)
    names = datasets_of(data, asked)
    asked.tell("loading the model")
    trained = _load(asked, config, device)
    compile_model(trained.model, options.trainer.compile, trained.device)
    return _evaluate(asked, config, data, names, trained)


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """A trained model in its place, and the step of its weights."""

    model: torch.nn.Module
    device: torch.device
    step: int


def _evaluate(
    asked: Asked, config: RunConfig, data: Data, names: dict[str, str], trained: _Trained
) -> Evaluated:
    split = asked.split or next(iter(names.values())).partition(".")[0]
    prints = {name: text for name, text in fingerprint(data).items() if name in names.values()}
    evaluation = Evaluation(
        name=asked.name or default_name(split, step=asked.step, overrides=asked.special),
        split=split,
        step=trained.step,
        time=time.time(),
        overrides=asked.special,
        how=asked.how,
        values={},
        num_samples=None,
        data=prints,
    )
    if asked.name is not None:
        refuse_taken(asked.folder, evaluation)
    compare_data(asked, RunDirectory(asked.path), trained.step, prints)
    mistakes = Mistakes()
    with ExitStack() as stack:
        partial, problem = _partial(asked, stack)
        values = _measure(asked, config, data, names, trained, partial / PREDICTIONS, mistakes)
        evaluation = replace(
            evaluation,
            values=values,
            num_samples=mistakes.num_samples or num_samples_of(data, names, config.options),
            num_wrong=mistakes.num_wrong,
        )
        folder, is_new = asked.folder, False
        if not problem:
            try:
                folder, is_new = commit(partial, evaluation, is_name_given=asked.name is not None)
            except (OSError, RunnerError) as error:
                problem = str(error)
    return Evaluated(
        evaluation=evaluation,
        folder=folder,
        is_new=is_new,
        problem=problem,
        device=trained.device,
        worst=mistakes.worst,
    )


def _partial(asked: Asked, stack: ExitStack) -> tuple[Path, str]:
    """Return where to write until it is whole; if not beside the run, elsewhere, and why."""
    try:
        return stack.enter_context(new_evaluation(asked.folder)), ""
    except OSError as error:
        problem = f"{asked.folder} cannot be written: {error.strerror or error}"
        if asked.to is not None:
            raise RunError(problem) from error
        aside = Path(stack.enter_context(TemporaryDirectory()))
        return aside, f"{problem}; --to FOLDER keeps the results elsewhere"


def _measure(
    asked: Asked,
    config: RunConfig,
    data: Data,
    names: dict[str, str],
    trained: _Trained,
    file: Path,
    mistakes: Mistakes,
) -> dict[str, float]:
    """Return the metrics on each dataset; write what was predicted, if anything was."""
    task, place = instantiate(config.task, "task"), trained.device
    calibration = UNCALIBRATED  # what was learned of another decoder says nothing
    if not asked.changes("task"):
        calibration = calibration_of(RunDirectory(asked.path), trained.step)
    seed = mix(config.seed, step_of_seed(asked, names, trained.step)) >> 1
    values: dict[str, float] = {}
    with file.open("w", encoding="utf-8", newline="") as opened:
        for own, name in names.items():
            write = _Writer(opened, mistakes, prefix=f"{own}/" if own else "")
            with _fitting(asked, name):
                loader = build_evaluation_loader(data, name, apply_debug(config.options), place)
                found = evaluate_split(
                    trained.model,
                    task,
                    loader,
                    device=place,
                    precision=Precision(config.precision, place),
                    on_sample=write,
                    calibration=calibration,
                    seed=seed,
                    names=[str(path) for path in getattr(data.splits()[name], "files", ())],
                    on_batch=Batches(asked.tell, name, loader.num_batches),
                )
            prefix = f"{own}." if own else ""
            values |= {f"{prefix}{metric}": value for metric, value in found.items()}
    if not mistakes.num_samples:
        file.unlink()
    return values


@contextmanager
def _fitting(asked: Asked, name: str) -> Iterator[None]:
    """Let an error be a sentence that is due to data that were not those of the training."""
    try:
        yield
    except _MISFITS as error:
        if not (asked.changes("data") or asked.changes("task")):
            raise
        raise RunError(
            f"the model cannot take {name} with {' '.join(asked.special)}, as it was trained with "
            f"others: {_misfit(error)}"
        ) from error


def _misfit(error: Exception) -> str:
    return f"there is no {error}" if type(error) is KeyError else first_line(error)


class _Writer:
    """Writes a row for each sample, and counts it."""

    def __init__(self, file: IO[str], mistakes: Mistakes, *, prefix: str) -> None:
        self._csv = csv.writer(file, lineterminator="\n")
        self._mistakes = mistakes
        self._prefix = prefix
        if not mistakes.num_samples:
            self._csv.writerow([field.name for field in fields(Judged)])

    def __call__(self, judged: Judged) -> None:
        sample, target, text, confidence = astuple(judged)
        named = Judged(f"{self._prefix}{sample}", target, text, confidence)
        try:
            self._csv.writerow([named.sample, target, text, six_digits(confidence)])
        except OSError as error:
            raise RunError(f"{PREDICTIONS} cannot be written: {error.strerror}") from error
        self._mistakes(named)


def _device(asked: Asked, config: RunConfig) -> torch.device:
    """Return the device of the run, or if it is not on this machine, the best there is."""
    try:
        return prepare_hardware(config.hardware)
    except ConfigError:
        if any(key_of(text) in ("hardware", "hardware.device") for text in asked.overrides):
            raise
    return prepare_hardware(type(config.hardware)(threads=config.hardware.threads))


def _load(asked: Asked, config: RunConfig, device: torch.device) -> _Trained:
    directory = RunDirectory(asked.path)
    model = instantiate(config.model, "model")
    step = step_to_use(directory, asked.step)
    for last in range(_TRIES):
        try:
            load_trained_weights(model, directory, step)
            break
        except (CheckpointError, FileNotFoundError):
            is_gone = not step_path(directory.checkpoints, step).is_dir()
            if asked.step is not None or not is_gone or last == _TRIES - 1:
                raise
            step = trained_step(directory)
    device_map = config.hardware.device_map
    if device_map is None:
        model = model.to(device)
    else:
        device = spread_over_devices(model, device_map, device)
    return _Trained(model=model, device=device, step=step)

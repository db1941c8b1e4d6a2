"""Evaluate the run in a directory: on a split of its data as in training, or on other data.

The run may be under way: it is only read, but for the folder of results.
"""

import csv
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import IO

import torch

from runner.build.assemble import make_deterministic
from runner.build.compiling import compile_model
from runner.build.debugging import apply_debug, debug_data
from runner.build.inference import calibration_of
from runner.build.loaders import build_evaluation_loader
from runner.build.trained import trained_step
from runner.build.trusted import trusted_config
from runner.checkpoint.store import CheckpointStore
from runner.config.instantiate import instantiate
from runner.config.layout import is_layout
from runner.config.options import Options
from runner.config.run_config import RunConfig
from runner.config.trust import NOBODY_ELSE, Trust
from runner.data.data import Data, in_split, is_map_style
from runner.data.fingerprint import fingerprint
from runner.errors import CheckpointError, ConfigError, did_you_mean
from runner.inference.evaluate import Judged, Mistakes, evaluate_split
from runner.metrics.calibration import UNCALIBRATED
from runner.run.directory import RunDirectory
from runner.run.evaluations import (
    PREDICTIONS,
    Evaluation,
    check_name,
    commit,
    default_name,
    new_evaluation,
)
from runner.run.journal import read_journal
from runner.runtime.device import prepare_hardware
from runner.runtime.device_map import spread_over_devices
from runner.runtime.precision import Precision
from runner.runtime.seeds import mix, seed_everything

_LOADING = ("batch_size", "evaluation_batch_size", "num_workers", "pin_memory")
_TRIES = 3  # a checkpoint may go while it is read: a training deletes the older ones

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be evaluated; `split` None stands for test, or without one for evaluation."""

    path: Path
    split: str | None = None
    step: int | None = None
    name: str | None = None
    overrides: Sequence[str] = ()
    trust: Trust = NOBODY_ELSE

    def changes(self, node: str) -> bool:
        """Return whether an override is about `node`."""
        return any(key == node or key.startswith(f"{node}.") for key in self.keys)

    @property
    def keys(self) -> list[str]:
        """The keys that overrides change, without those that change no result."""
        return [key for key in map(_key, self.overrides) if not _changes_nothing(key)]

    @property
    def special(self) -> list[str]:
        """The overrides that may change the result."""
        return [text for text in self.overrides if not _changes_nothing(_key(text))]


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What came of it: `folder` has it; not `is_new` if the same was found there before."""

    evaluation: Evaluation
    folder: Path
    is_new: bool
    device: torch.device
    worst: list[Judged]


def evaluate_run(asked: Asked) -> Evaluated:
    """Evaluate and write evaluations/NAME in the run's directory.

    The metrics are those of the task, by the code, the seeds and the batches of a training. Raises
    RunnerError for what is no run, and for a split, a step or overrides that cannot be.
    """
    if asked.name is not None:
        check_name(asked.name)
    config = trusted_config(RunDirectory(asked.path), overrides=asked.overrides, trust=asked.trust)
    device = _device(asked, config)
    options = apply_debug(config.options)
    make_deterministic(options.trainer.deterministic)
    seed_everything(config.seed)  # data may draw numbers when it is built, as in training
    data = debug_data(instantiate(config.data, "data"), options)
    names = _datasets(data, asked)
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
    directory = RunDirectory(asked.path)
    split = asked.split or next(iter(names.values())).partition(".")[0]
    prints = {name: text for name, text in fingerprint(data).items() if name in names.values()}
    _compare_data(asked, directory, trained.step, prints)
    name = asked.name or default_name(split, step=asked.step, overrides=asked.special)
    with new_evaluation(directory.evaluations) as partial:
        mistakes = Mistakes()
        values = _measure(asked, config, data, names, trained, partial / PREDICTIONS, mistakes)
        evaluation = Evaluation(
            name=name,
            split=split,
            step=trained.step,
            time=time.time(),
            overrides=list(asked.overrides),
            values=values,
            num_samples=mistakes.num_samples or _length(data, names, config.options),
            num_wrong=mistakes.num_wrong,
            data=prints,
        )
        folder, is_new = commit(partial, evaluation, is_name_given=asked.name is not None)
    return Evaluated(
        evaluation=evaluation,
        folder=folder,
        is_new=is_new,
        device=trained.device,
        worst=mistakes.worst,
    )


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
    task = instantiate(config.task, "task")
    calibration = UNCALIBRATED  # what was learned of another decoder says nothing
    if not asked.changes("task"):
        calibration = calibration_of(RunDirectory(asked.path), trained.step)
    seed = mix(config.seed, _step_of_seed(asked, names, trained.step)) >> 1
    values: dict[str, float] = {}
    with file.open("w", encoding="utf-8", newline="") as opened:
        for own, name in names.items():
            write = _Writer(opened, mistakes, prefix=f"{own}/" if own else "")
            found = evaluate_split(
                trained.model,
                task,
                build_evaluation_loader(data, name, apply_debug(config.options), trained.device),
                device=trained.device,
                precision=Precision(config.precision, trained.device),
                on_sample=write,
                calibration=calibration,
                seed=seed,
                names=[str(path) for path in getattr(data.splits()[name], "files", ())],
            )
            prefix = f"{own}." if own else ""
            values |= {f"{prefix}{metric}": value for metric, value in found.items()}
    if not mistakes.num_samples:
        file.unlink()
    return values


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
        self._csv.writerow([named.sample, target, text, round(confidence, 6)])
        self._mistakes(named)


def _device(asked: Asked, config: RunConfig) -> torch.device:
    """Return the device of the run, or if it is not on this machine, the best there is."""
    try:
        return prepare_hardware(config.hardware)
    except ConfigError:
        if any(_key(text) in ("hardware", "hardware.device") for text in asked.overrides):
            raise
    return prepare_hardware(type(config.hardware)(threads=config.hardware.threads))


def _datasets(data: Data, asked: Asked) -> dict[str, str]:
    """Return the datasets of the split by their own names; ConfigError if there are none."""
    known = list(data.splits())
    for split in ("test", "evaluation") if asked.split is None else (asked.split,):
        if found := in_split(known, split):
            return found
    groups = dict.fromkeys([*known, *(name.partition(".")[0] for name in known)])
    raise ConfigError(
        f"its data has no split {asked.split or 'test or evaluation'}; there are "
        f"{', '.join(known)}{did_you_mean(asked.split or '', groups)} (--split)"
    )


def _load(asked: Asked, config: RunConfig, device: torch.device) -> _Trained:
    directory = RunDirectory(asked.path)
    store = CheckpointStore(directory.checkpoints)
    model = instantiate(config.model, "model")
    step = trained_step(directory, asked.step)
    for last in range(_TRIES):
        try:
            store.read_weights(step, model)
            break
        except (CheckpointError, FileNotFoundError):
            if asked.step is not None or store.path_of(step).is_dir() or last == _TRIES - 1:
                raise
            step = trained_step(directory)
    device_map = config.hardware.device_map
    if device_map is None:
        model = model.to(device)
    else:
        device = spread_over_devices(model, device_map, device)
    return _Trained(model=model, device=device, step=step)


def _step_of_seed(asked: Asked, names: dict[str, str], step: int) -> int:
    """Return the step whose random numbers are drawn: that at which training measured the same.

    The test at the end of a training is of its best weights, with the numbers of its last step.
    """
    if asked.step is None and next(iter(names.values())).partition(".")[0] == "test":
        rows = read_journal(RunDirectory(asked.path).journal)
        return next((row.step for row in reversed(rows) if row.split == "test"), step)
    return step


def _compare_data(asked: Asked, directory: RunDirectory, step: int, prints: dict[str, str]) -> None:
    """Warn of data that are not those of the training, unless others were asked for."""
    if asked.changes("data") or asked.changes("debug"):
        return
    with suppress(CheckpointError, OSError):
        trained = CheckpointStore(directory.checkpoints).read_identity(step).get("data", {})
        for name, found in prints.items():
            if trained.get(name, found) != found:
                _log.warning(
                    "the %s split is not the one that the run was trained with (%s, then %s): its "
                    "values cannot be compared with those of the training",
                    name,
                    found,
                    trained[name],
                )


def _length(data: Data, names: dict[str, str], options: Options) -> int | None:
    """Return how many samples a task saw that does not tell of them; None if nobody knows."""
    datasets = [data.splits()[name] for name in names.values()]
    if apply_debug(options).debug.limit_batches or not all(map(is_map_style, datasets)):
        return None
    return sum(len(dataset) for dataset in datasets)  # type: ignore[arg-type]


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].strip()


def _changes_nothing(key: str) -> bool:
    return is_layout(key) or key.startswith("hardware.") or key in {f"data.{k}" for k in _LOADING}

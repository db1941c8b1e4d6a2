"""`init_weights_from`: begin with weights that were trained before, and with nothing else of it.

A run (its best checkpoint that is there, or the newest), one of its checkpoints, an exported model,
a file of weights, a folder as Hugging Face lays it out, or a name on the Hub.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from runner.build.trained.used_run import run_to_use
from runner.build.trained.weights import read_trained_weights
from runner.checkpoint import manifest
from runner.checkpoint.foreign import FILE_SUFFIXES, read_weight_file, read_weight_folder
from runner.checkpoint.hub import download
from runner.checkpoint.spread import part_of
from runner.checkpoint.store import CheckpointStore
from runner.config.options import Options
from runner.errors import CheckpointError, ConfigError, RunError, did_you_mean
from runner.run.directory import RunDirectory
from runner.run.model_card import is_exported
from runner.sweeps.directory import is_sweep
from runner.training.first_weights import FirstWeights, OwnWeights, Taken

_KEY = "init_weights_from"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?(@[\w./-]+)?")
_SHOWN = 5  # names of a kind in a line of the log

_log = logging.getLogger(__name__)


def first_weights(options: Options) -> FirstWeights:
    """Return where the first weights come from; nothing is read yet."""
    if options.init_weights_from is None:
        return OwnWeights()
    return WeightsFrom(options.init_weights_from, strict=options.init_weights_strict)


class WeightsFrom:
    """Weights of `source`; not `strict`: those that fit, and the others as they were built."""

    def __init__(self, source: str, *, strict: bool) -> None:
        self._source = source
        self._strict = strict

    def load(self, model: nn.Module, average: nn.Module | None) -> Taken:
        """Load them into `model` and `average`, also spread over ranks; return what was taken.

        ConfigError when the source is not there, or does not fit.
        """
        try:
            weights = read_weights(self._source)
        except CheckpointError as error:
            raise ConfigError(f"{_KEY}={self._source}: {error}") from error
        taken = compare(self._source, weights, model)
        self._check(taken, model)
        for target in (model, average):
            if target is not None:
                _load(target, weights, taken)
        _tell(taken)
        return taken

    def _check(self, taken: Taken, model: nn.Module) -> None:
        problems = [*taken.mismatched]
        problems += [f"{name} is missing there" for name in taken.missing]
        known = model.state_dict()
        problems += [
            f"{name} is not in the model{did_you_mean(name, known)}" for name in taken.unexpected
        ]
        if problems and self._strict:
            more = f" and {len(problems) - 10} more" if len(problems) > 10 else ""
            raise ConfigError(
                f"{_KEY}={self._source} does not fit the model: {'; '.join(problems[:10])}{more} "
                "(to take what fits: init_weights_strict=false)"
            )
        if not taken.loaded:
            raise ConfigError(f"{_KEY}={self._source}: nothing of it fits the model")


def read_weights(source: str) -> dict[str, Tensor]:
    """Return the weights that `source` names, whole and on the CPU; CheckpointError if none."""
    path = Path(source).expanduser()
    if path.is_file():
        if path.suffix not in FILE_SUFFIXES:
            raise CheckpointError(f"a file of weights ends with one of {', '.join(FILE_SUFFIXES)}")
        return read_weight_file(path)
    if path.is_dir():
        return _read_folder(path)
    if is_hub_name(source):
        return read_weight_folder(download(source))
    raise CheckpointError("there is no such file or folder")


def is_hub_name(source: str) -> bool:
    """Return whether `source` is nothing on this machine, so that the Hub would be asked for it."""
    path = Path(source).expanduser()
    is_name = _HUB_NAME.fullmatch(source) is not None and path.suffix not in FILE_SUFFIXES
    return is_name and not path.exists()


def compare(source: str, weights: Mapping[str, Tensor], model: nn.Module) -> Taken:
    """Return what of `weights` fits `model`; a second name of a tied weight is never missing."""
    expected = model.state_dict(keep_vars=True)
    fitting = [n for n, t in expected.items() if n in weights and weights[n].shape == t.shape]
    there = {id(expected[name]) for name in fitting}
    return Taken(
        source=source,
        loaded=fitting,
        missing=[n for n, t in expected.items() if n not in weights and id(t) not in there],
        unexpected=[name for name in weights if name not in expected],
        mismatched=[
            f"{name} has shape {tuple(weights[name].shape)}, the model has {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in weights and name not in fitting
        ],
    )


def _read_folder(path: Path) -> dict[str, Tensor]:
    if is_sweep(path):
        try:
            run_to_use(path)
        except RunError as error:
            raise CheckpointError(str(error)) from error
    directory = RunDirectory(path)
    if directory.provenance.is_file() or is_exported(directory):
        return read_trained_weights(directory)
    if (path / manifest.NAME).is_file():
        step = manifest.verified_manifest(path).step
        if path.name != manifest.step_path(path.parent, step).name:
            raise CheckpointError(f"a checkpoint of step {step} is called {path.name}: rename it")
        return CheckpointStore(path.parent).read_tensors(step)
    return read_weight_folder(path)


def _load(model: nn.Module, weights: Mapping[str, Tensor], taken: Taken) -> None:
    expected = model.state_dict()
    parts = {name: part_of(weights[name], like=expected[name]) for name in taken.loaded}
    model.load_state_dict(parts, strict=False)


def _tell(taken: Taken) -> None:
    _log.info("weights of %s: %d loaded", taken.source, len(taken.loaded))
    for kind in ("missing", "unexpected", "mismatched"):
        names: list[str] = getattr(taken, kind)
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            _log.warning("%s: %s%s", kind, ", ".join(names[:_SHOWN]), more)

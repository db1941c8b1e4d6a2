"""Callbacks and trackers from what a user has in hand: a mapping, a list, one alone, a name."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from runner.errors import ConfigError, did_you_mean
from runner.trackers.accelerate.services import PACKAGES as SERVICES
from runner.trackers.accelerate.tracker import AccelerateTracker
from runner.trackers.csv_file import CSVTracker
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.trackers.tensorboard import TensorBoardTracker
from runner.trackers.tracker import Tracker
from runner.training.callback import Callback
from runner.training.callbacks.defaults import default_callbacks
from runner.training.callbacks.function import FunctionCallback


def read_callbacks(given: Any) -> dict[str, Callback]:
    """Return callbacks by name; a mapping replaces the defaults, a list or one alone joins them."""
    if given is None:
        return default_callbacks()
    if isinstance(given, Mapping):
        return {str(name): _callback(each) for name, each in given.items()}
    found = default_callbacks()
    for each in given if isinstance(given, list | tuple) else [given]:
        found[_free_name(_name_of(each), found)] = _callback(each)
    return found


def read_trackers(given: Any, *, name: str, output_dir: Path) -> dict[str, Tracker]:
    """Return trackers by name: those of `given` and no others; MLflow's alone if it is None."""
    if given is None:
        given = ["mlflow"]
    if isinstance(given, Mapping):
        return {str(key): _tracker(each, name, output_dir) for key, each in given.items()}
    found: dict[str, Tracker] = {}
    for each in given if isinstance(given, list | tuple) else [given]:
        free = _free_name(each if isinstance(each, str) else _name_of(each), found)
        found[free] = _tracker(each, name, output_dir)
    return found


def _callback(given: Any) -> Callback:
    if isinstance(given, Callback):
        return given
    if callable(given) and not isinstance(given, type):
        return FunctionCallback(given)
    raise ConfigError(
        f"callbacks: {given!r} is no Callback: derive it from runner.Callback, or give a function"
    )


def _mlflow(name: str, output_dir: Path) -> Tracker:
    return MLflowTracker(tracking_uri=f"sqlite:///{output_dir / 'mlflow.db'}", experiment=name)


_TRACKERS: dict[str, Callable[[str, Path], Tracker]] = {
    "mlflow": _mlflow,
    "tensorboard": lambda _name, _output_dir: TensorBoardTracker(),
    "csv": lambda _name, _output_dir: CSVTracker(),
}


def _tracker(given: Any, name: str, output_dir: Path) -> Tracker:
    if isinstance(given, str):
        if given in _TRACKERS:
            return _TRACKERS[given](name, output_dir)
        if given in SERVICES:
            return AccelerateTracker(log_with=given, project=name)
        known = [*_TRACKERS, *SERVICES]
        hint = did_you_mean(given, known) or f"; there are {', '.join(known)}"
        raise ConfigError(f"trackers: there is none called {given!r}{hint}")
    if not (hasattr(given, "start") and hasattr(given, "finish")):
        raise ConfigError(
            f"trackers: {given!r} is no tracker: it needs start(run) and finish(state, files), "
            f"or be one of {', '.join(_TRACKERS)}"
        )
    return given


def _name_of(thing: Any) -> str:
    """Return the name of a function, or of an object's class, as it is written in a config."""
    name = getattr(thing, "__name__", type(thing).__name__)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return re.sub(r"\W+", "", words) or "callback"


def _free_name(name: str, taken: Iterable[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free

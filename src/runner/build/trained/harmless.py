"""Whether a run may be resumed though no signature tells that this user made it.

On a new machine, in a container or with a home of its own a user has another key, and his restart
scripts must go on. So a run is asked about only if it could do more than train: if its config names
code of others, asks a server or the Hub, has lines for a shell or holds a secret of the user's, or
if it or its files lead elsewhere.
"""

import json
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runner.build.trained.trusted import is_opening, untrusted
from runner.build.weights_from import is_hub_name
from runner.config.frozen import load_frozen
from runner.config.interpolations import resolve
from runner.config.targets import TARGET
from runner.config.trust import Trust
from runner.config.written import read_config
from runner.errors import ConfigError
from runner.run.directory import RunDirectory

_PARTS = ("model", "data", "task", "optimizer", "scheduler", "callbacks", "trackers")
_CALLBACKS = "runner.training.callbacks."
_MLFLOW = "runner.trackers.mlflow.tracker.MLflowTracker"
_HARMLESS = frozenset(  # they write into the run directory, or where the check below looks
    {
        f"{_CALLBACKS}calibration.ConfidenceCalibration",
        f"{_CALLBACKS}function.FunctionCallback",
        f"{_CALLBACKS}learning_curves.LearningCurves",
        f"{_CALLBACKS}profiler.Profiler",
        f"{_CALLBACKS}progress_bar.ProgressBar",
        f"{_CALLBACKS}sample_pictures.SamplePictures",
        f"{_CALLBACKS}system_monitor.SystemMonitor",
        "runner.trackers.csv_file.CSVTracker",
        "runner.trackers.tensorboard.TensorBoardTracker",
        _MLFLOW,
    }
)
_OF_SHELL = ("setup", "srun", "sbatch")
_DATABASE = re.compile(r"sqlite:///([^?#]*\.(db|sqlite))")
_OF_MLFLOW = {"experiments", "runs", "alembic_version"}  # tables of its stores
_SERVER = re.compile(r"(?!sqlite:|file:)[\w+.-]+:", re.IGNORECASE)
_PLACES = ("uri", "artifact_location", "logging_dir")  # under these, marks say where to send
# Interpolations that are the same text in every process of a run; \0 stands for one inside.
_PLAIN = re.compile(
    r"\$\{(\.*[A-Za-z_][\w.\[\]]*|oc\.env:\w+(,[^{}$]*)?|(ctc_classes|vocabulary_size):[^{}$]*)\}"
)
_NOT_LOOKED_INTO = ("checkpoints", "reproduced", "export")


def what_acts(directory: RunDirectory, trust: Trust, *, overrides: Sequence[str] = ()) -> list[str]:
    """Return, each with its place, what would do more than train if the run were resumed.

    Empty: it needs no trust beyond the packages that `trust` has. A checkpoint.dir among the
    `overrides` is the user's own. Imports nothing that it would tell. Raises RunnerError for a
    config that cannot be read or resolved.
    """
    written = read_config(directory.config)
    found = [*_interpolated(written, "")]
    if not found:
        plain, problems = resolve(load_frozen(directory.config))
        if problems:
            raise ConfigError(*problems)
        found = [
            *untrusted(_built(plain), trust),
            *_of_shell(plain),
            *_sending(plain, [directory.path, Path(str(plain.get("output_dir")))]),
            *_elsewhere(plain, directory, overrides),
        ]
    return [*dict.fromkeys([*found, *_marks(directory), *_links(directory.path)])]


def _interpolated(node: Any, path: str, key: object = None) -> Iterator[str]:
    """Give what might be something else in another process than in the one that looks at it."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _interpolated(value, f"{path}.{name}".lstrip("."), name)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _interpolated(value, f"{path}[{index}]", key)
    elif isinstance(node, str) and "${" in node:
        text, count = node, 1
        while count:
            text, count = _PLAIN.subn("\0", text)
        is_name = key == TARGET or is_opening(key)
        if is_name or "${" in text or "\\\0" in text:
            yield f"{node} ({path})"


def _built(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is built, without the names of callbacks and trackers that may be."""
    parts = {part: plain.get(part) for part in _PARTS}
    for part in ("callbacks", "trackers"):
        if isinstance(nodes := parts[part], Mapping):
            parts[part] = {name: _unnamed(node) for name, node in nodes.items()}
    return parts


def _unnamed(node: Any) -> Any:
    if (
        isinstance(node, Mapping)
        and isinstance(node.get(TARGET), str)
        and node[TARGET] in _HARMLESS
    ):
        return {key: value for key, value in node.items() if key != TARGET}
    return node


def _of_shell(plain: Mapping[str, Any]) -> Iterator[str]:
    hardware = plain.get("hardware")
    slurm = hardware.get("slurm") if isinstance(hardware, Mapping) else None
    for key in _OF_SHELL:
        if isinstance(slurm, Mapping) and slurm.get(key):
            yield f"{slurm[key]} (hardware.slurm.{key})"


def _elsewhere(
    plain: Mapping[str, Any], directory: RunDirectory, overrides: Sequence[str]
) -> Iterator[str]:
    """Give what the run would fetch first, and the folder it would make for its checkpoints."""
    source = plain.get("init_weights_from")
    if isinstance(source, str) and is_hub_name(source):
        yield "a name on the Hub (init_weights_from)"
    options = plain.get("checkpoint")
    place = options.get("dir") if isinstance(options, Mapping) else None
    is_asked = any(text.startswith("checkpoint.dir=") for text in overrides)
    if place is not None and not is_asked and not directory.checkpoints.is_dir():
        yield f"{place} (checkpoint.dir)"


def _sending(plain: Mapping[str, Any], folders: Sequence[Path]) -> Iterator[str]:
    trackers = plain.get("trackers")
    for name, node in (trackers if isinstance(trackers, Mapping) else {}).items():
        if not isinstance(node, Mapping) or node.get(TARGET) != _MLFLOW:
            continue
        uri, place = node.get("tracking_uri"), node.get("artifact_location")
        match = _DATABASE.fullmatch(uri) if isinstance(uri, str) else None
        if uri is not None and match is None:
            yield f"a server (trackers.{name}.tracking_uri)"
        elif match is not None and not _is_store(Path(match[1]), folders):
            yield f"{match[1]} (trackers.{name}.tracking_uri)"
        if place is not None:
            yield f"{place} (trackers.{name}.artifact_location)"


def _is_store(path: Path, folders: Sequence[Path]) -> bool:
    """Return whether MLflow may write to `path`: a database of its own, or new in `folders`."""
    if not path.exists():
        return any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {name for (name,) in tables} >= _OF_MLFLOW
    except sqlite3.Error:
        return False


def _marks(directory: RunDirectory) -> Iterator[str]:
    """Give the files by which trackers go on that name a server, or a file outside."""
    for path in sorted(directory.tracker("x").parent.glob("*.json")):
        try:
            texts = [*_texts(json.loads(path.read_text(encoding="utf-8")), None)]
        except (OSError, ValueError):
            yield f"what cannot be read ({path})"
            continue
        if any(_SERVER.match(text) for key, text in texts if key in _PLACES):
            yield f"a server ({path})"
        databases = [Path(text[10:]) for _, text in texts if text.startswith("sqlite:///")]
        if any(database.exists() and not _is_store(database, ()) for database in databases):
            yield f"a database that is not MLflow's ({path})"
        if any(key == "name" and os.sep in text for key, text in texts):
            yield f"a file elsewhere ({path})"


def _texts(node: Any, key: object) -> Iterator[tuple[object, str]]:
    """Give every text with its key; the names of servers as if each were under `uri`."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            if key == "servers":
                yield "uri", str(name)
            yield from _texts(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value, key)
    elif isinstance(node, str):
        yield key, node


def _links(folder: Path) -> Iterator[str]:
    """Give the links by which what is written into the run would land elsewhere."""
    for parent, folders, files in os.walk(folder):
        if Path(parent) == folder:
            folders[:] = [name for name in folders if name not in _NOT_LOOKED_INTO]
        for name in (*folders, *files):
            if (path := Path(parent, name)).is_symlink():
                yield f"a link ({path})"

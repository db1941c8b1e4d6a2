"""Save what prepares the input, beside the weights that were trained with it; and load it again.

No code is stored, and none runs that a folder names: the preprocessors of runner and of
transformers are known, any other one is given by who loads.
"""

import importlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch

from runner.config.own_targets import PREPROCESSORS
from runner.data.restorable import check_restorable
from runner.errors import DataError, RunError
from runner.files import sync_directory, write_json_atomically
from runner.protocols import Stateful

_DESCRIPTION = "preprocessor.json"
_STATE = "state.pt"
_VERSION = 1
_CLOSED = {"local_files_only": True, "trust_remote_code": False}  # nothing is fetched or run


def check_preprocessor(preprocessor: Any) -> None:
    """Raise DataError if `preprocessor` (None: none) could not be saved."""
    if preprocessor is not None:
        _way_of(preprocessor)


def save_preprocessor(preprocessor: Any, folder: Path) -> None:
    """Write `preprocessor` into the new `folder`, whole or not at all.

    It is saved by its `save_pretrained(folder)` (as those of transformers), else by the fields of a
    dataclass or its `config`, as JSON, else by its `state_dict()`.
    """
    way = _way_of(preprocessor)
    _forget_torn(folder)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    partial.mkdir(parents=True)
    try:
        description = {"version": _VERSION, "class": _name_of(type(preprocessor)), "way": way}
        if way == "pretrained":
            preprocessor.save_pretrained(str(partial))
        elif way == "fields":
            description["fields"] = _fields_of(preprocessor)
        else:
            torch.save(preprocessor.state_dict(), partial / _STATE)
        write_json_atomically(partial / _DESCRIPTION, description)
        for path in partial.rglob("*"):
            _sync(path)
        partial.rename(folder)
        sync_directory(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def is_known(folder: Path) -> bool:
    """Return whether `load_preprocessor` needs nothing but `folder`."""
    return _known_class(_description(folder)["class"]) is not None


def load_preprocessor(folder: Path, preprocessor: Any = None) -> Any:
    """Return what was saved in `folder`.

    `preprocessor` is needed for a class that neither runner nor transformers has: that class, or an
    object of it to take the saved state. Raises RunError when that is wanted or does not fit.
    """
    description = _description(folder)
    name = description["class"]
    given = preprocessor if preprocessor is not None else _known_class(name)
    if given is None:
        raise RunError(
            f"{folder} holds a {name}, which is no class of runner or transformers: load it with "
            "load_preprocessor(CLASS), or an object of it"
        )
    kind = given if isinstance(given, type) else type(given)
    if _name_of(kind).rpartition(".")[2] != name.rpartition(".")[2]:
        raise RunError(f"{folder} holds a {name}, not a {_name_of(kind)}")
    way = description["way"]
    is_theirs = preprocessor is None and name.startswith("transformers.")
    if way not in _WAYS or (is_theirs and way != "pretrained"):
        raise RunError(f"{folder} holds a {name}, but not as one is saved: {way!r}")
    return _WAYS[way](given, folder, description)


def _description(folder: Path) -> dict[str, Any]:
    try:
        description = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
        return {key: description[key] for key in ("class", "way")} | description
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{folder} holds no preprocessor that can be read: {error}") from error


def _pretrained(given: Any, folder: Path, _: Any) -> Any:
    kind = given if isinstance(given, type) else type(given)
    is_stranger = kind.__module__.partition(".")[0] == "transformers"
    closed = _CLOSED if is_stranger else {}
    return kind.from_pretrained(str(folder), **closed)  # type: ignore[attr-defined]


def _from_fields(given: Any, _: Path, description: Any) -> Any:
    kind = given if isinstance(given, type) else type(given)
    return kind(**description["fields"])


def _from_state(given: Any, folder: Path, _: Any) -> Any:
    built = given() if isinstance(given, type) else given
    built.load_state_dict(torch.load(folder / _STATE, map_location="cpu", weights_only=True))
    return built


_WAYS: dict[str, Callable[[Any, Path, Any], Any]] = {
    "pretrained": _pretrained,
    "fields": _from_fields,
    "state": _from_state,
}


def _way_of(preprocessor: Any) -> str:
    if hasattr(preprocessor, "save_pretrained"):
        return "pretrained"
    if _fields_of(preprocessor) is not None:
        return "fields"
    if isinstance(preprocessor, Stateful):
        check_restorable(preprocessor.state_dict(), "the preprocessor")
        return "state"
    raise DataError(
        f"data.preprocessor: {_name_of(type(preprocessor))} cannot be saved with the run: give it "
        "save_pretrained(folder), make it a dataclass of plain values, give it a dict `config` of "
        "its arguments, or state_dict() and load_state_dict(state)"
    )


def _fields_of(preprocessor: Any) -> dict[str, Any] | None:
    """Return the arguments that make `preprocessor` again, if it tells them and JSON can hold."""
    told = getattr(preprocessor, "config", None)
    if is_dataclass(preprocessor) and not isinstance(preprocessor, type):
        told = {
            field.name: getattr(preprocessor, field.name)
            for field in fields(preprocessor)
            if field.init
        }
    try:
        is_plain = isinstance(told, dict) and json.loads(json.dumps(told)) == _with_lists(told)
    except (TypeError, ValueError):
        return None
    return told if is_plain else None


def _with_lists(value: Any) -> Any:
    """Return `value` with its tuples as lists, as JSON has them."""
    if isinstance(value, dict):
        return {key: _with_lists(item) for key, item in value.items()}
    return [_with_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _known_class(name: str) -> type | None:
    if name in PREPROCESSORS:
        module, _, own = name.rpartition(".")
        return getattr(importlib.import_module(module), own)
    if name.partition(".")[0] == "transformers":
        return _transformers_class(name.rpartition(".")[2])
    return None


def _transformers_class(name: str) -> type | None:
    """Return what prepares input, of any kind that transformers has; None for any other class."""
    try:
        import transformers
    except ImportError as error:
        raise RunError(
            f"the preprocessor {name} needs transformers: pip install 'runner[huggingface]'"
        ) from error
    found = getattr(transformers, name, None)
    kinds = (
        *(transformers.PreTrainedTokenizerBase, transformers.ProcessorMixin),
        *(transformers.FeatureExtractionMixin, transformers.ImageProcessingMixin),
    )
    return found if isinstance(found, type) and issubclass(found, kinds) else None


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _forget_torn(folder: Path) -> None:
    """Remove what writes that were killed have left."""
    for torn in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(torn, ignore_errors=True)


def _sync(path: Path) -> None:
    if path.is_dir():
        sync_directory(path)
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())

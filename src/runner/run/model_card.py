"""`model.json`: what a trained model is, what it takes and says, and in which files it lies.

A run that is completed has it; beside weights, a config and a preprocessor it makes a folder an
*exported model*, which is used as a run is and needs none.
"""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import RunError
from runner.files import write_json_atomically
from runner.run.directory import RunDirectory

FORMAT_VERSION = 1
_FILE_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*")  # of a file beside model.json: no way out of there


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """A trained model, as far as it can be told without its weights."""

    run: dict[str, str]  # id and name of the run that trained it
    step: int
    score: dict[str, Any] | None  # metric and value at that step, if it was measured
    weights: dict[str, str]  # file -> SHA-256; none while they are in parts, see `export`
    tied: dict[str, str] = field(default_factory=dict)  # a name that has the tensor of another
    input: str  # "picture", which its preprocessor makes an input of, or "batch"
    predicts: str  # "text", "label", "value", ...
    versions: dict[str, str] = field(default_factory=dict)  # with which it was trained
    programs: dict[str, str] = field(default_factory=dict)  # file -> how it was compared
    checks: dict[str, dict[str, float]] = field(default_factory=dict)  # the same in figures
    network: dict[str, Any] = field(default_factory=dict)  # how those are called, see the README
    format_version: int = FORMAT_VERSION


def is_exported(directory: RunDirectory) -> bool:
    """Return whether `directory` is an exported model, and no run."""
    has_both = directory.model_card.is_file() and directory.config.is_file()
    return has_both and not directory.provenance.is_file()


def write_model_card(path: Path, card: ModelCard) -> None:
    """Replace the file at `path` by `card`, unless it says that already."""
    text = json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_json_atomically(path, asdict(card))


def read_model_card(path: Path) -> ModelCard:
    """Return what model.json at `path` says; RunError if it cannot be used."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw["format_version"]
        if version > FORMAT_VERSION:
            raise RunError(
                f"{path} has format {version}, this runner reads up to {FORMAT_VERSION}: "
                "use a newer runner"
            )
        card = ModelCard(**raw)
        strange = [name for name in card.weights if not _FILE_NAME.fullmatch(name)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} cannot be read as the card of a model: {error}") from error
    if strange:
        raise RunError(f"{path}: {strange[0]!r} is no file beside it, so it is not read")
    return card

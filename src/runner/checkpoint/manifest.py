"""The manifest of a checkpoint: written last, it lists every file with size and checksum.

A directory without a valid manifest is no checkpoint.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from runner.errors import CheckpointError
from runner.files import inside, leads_out, write_json_atomically

NAME = "manifest.json"
MODEL_FILES = ("model.", "model-")  # one file, or several and their index
AVERAGE_FILES = ("average.", "average-")
FORMAT_VERSION = 2  # 1 had no averaged weights
_READ_BYTES = 4 << 20  # at once: few, large pieces leave the training thread its time
_STEP = re.compile(r"step_(\d{8,})")


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """Size in bytes and SHA-256 of one file."""

    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a committed checkpoint consists of; names in `files` are relative, with "/"."""

    step: int
    files: dict[str, FileEntry]
    tied: dict[str, str] = field(default_factory=dict)
    tied_average: dict[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


def step_folders(root: Path) -> list[int]:
    """Return the steps that have a directory in `root`, oldest first, whatever is in it."""
    if not root.is_dir():
        return []
    named = (_STEP.fullmatch(path.name) for path in root.iterdir())
    return sorted(int(match[1]) for match in named if match)


def committed_steps(root: Path) -> list[int]:
    """Return the steps whose directory in `root` has a manifest, oldest first; checks no file."""
    return [step for step in step_folders(root) if (step_path(root, step) / NAME).is_file()]


def weight_names(manifest: Manifest) -> list[str]:
    """Return the files with the weights to use, the averaged ones if any; none if in parts."""
    of_average = sorted(name for name in manifest.files if name.startswith(AVERAGE_FILES))
    return of_average or sorted(name for name in manifest.files if name.startswith(MODEL_FILES))


def step_path(root: Path, step: int) -> Path:
    """Return where in `root` the checkpoint of `step` lies, whether or not there is one."""
    return root / f"step_{step:08d}"


def write_manifest(
    directory: Path,
    *,
    step: int,
    tied: dict[str, str],
    tied_average: dict[str, str] | None = None,
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Describe all files of `directory`, those in folders too, in its manifest.

    `beat` is called for each piece that was read.
    """
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    files = {path.relative_to(directory).as_posix(): _entry(path, beat) for path in paths}
    manifest = Manifest(step=step, files=files, tied=tied, tied_average=tied_average or {})
    write_json_atomically(directory / NAME, asdict(manifest))


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of `directory` without looking at the files, or raise CheckpointError."""
    try:
        raw = json.loads((directory / NAME).read_text(encoding="utf-8"))
        version = raw["format_version"]
        if version > FORMAT_VERSION:
            raise CheckpointError(
                f"{directory} has format {version}, this runner reads up to {FORMAT_VERSION}: "
                "use a newer runner"
            )
        raw["files"] = {name: FileEntry(**entry) for name, entry in raw["files"].items()}
        return Manifest(**raw)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{directory / NAME} cannot be read: {error}") from error


def verified_manifest(directory: Path, *, beat: Callable[[], None] = lambda: None) -> Manifest:
    """Return the manifest after checking all files; CheckpointError names the first wrong one.

    `beat` is called for each piece that was read.
    """
    manifest = read_manifest(directory)
    for name, expected in manifest.files.items():
        path = _file_of(directory, name)
        if not path.is_file() or path.stat().st_size != expected.size:
            raise CheckpointError(f"{path} is missing or cut off")
        if _entry(path, beat) != expected:
            raise CheckpointError(f"{path} is damaged: its checksum differs")
    return manifest


def _file_of(directory: Path, name: str) -> Path:
    """Return a file of a checkpoint; CheckpointError for one that lies elsewhere."""
    try:
        path = inside(directory, name)
    except ValueError as error:
        raise CheckpointError(f"{directory / NAME}: {error}") from error
    if leads_out(directory, path):
        raise CheckpointError(f"{path} is a link that leads out of the checkpoint")
    return path


def _entry(path: Path, beat: Callable[[], None]) -> FileEntry:
    digest, size = hashlib.sha256(), 0
    piece = memoryview(bytearray(min(_READ_BYTES, path.stat().st_size + 1)))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            digest.update(piece[:count])
            size += count
            beat()
    return FileEntry(size=size, sha256=digest.hexdigest())

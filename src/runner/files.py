"""Write files so that a reader, or a kill at any instant, never finds half of one."""

import hashlib
import json
import os
from pathlib import Path, PurePosixPath
from typing import Any


def write_text_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8): either the old content is there, or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json_atomically(path: Path, value: Any) -> None:
    """Replace `path` by `value` as indented JSON."""
    write_text_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def drop_torn_line(path: Path) -> None:
    """Cut off what a kill left of a half-written last line; an absent file is left absent."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0 or os.pread(file.fileno(), 1, size - 1) == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def inside(folder: Path, name: object) -> Path:
    """Return the file called `name` in `folder`, or below it; ValueError if that leads out of it.

    For names that others wrote. A link in `folder` may lead on: see `leads_out`.
    """
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    if not parts or parts[0] == "/" or ".." in parts or "\0" in str(name) or "\\" in str(name):
        raise ValueError(f"{name!r} is no name of a file in {folder}")
    return folder.joinpath(*parts)


def leads_out(folder: Path, path: Path) -> bool:
    """Return whether `path`, below `folder`, is or lies behind a link that leads out of it."""
    return not path.resolve().is_relative_to(folder.resolve())


def sync_directory(path: Path) -> None:
    """Make the renames inside the directory `path` survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the content of the file at `path`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Copy the code of a repository beside the jobs that will run it, whenever that is.

slurm/code/        files/    the code as it was
                   code.json commit, uncommitted diff (see run/source/state.py)
                   copy.json what tells it from other code
slurm/code_2/      ...       of a later start of the same sweep, with other code
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from runner.errors import ConfigError, RunError
from runner.files import sync_directory, write_json_atomically
from runner.run.source.state import CodeState, code_state, write_submitted
from runner.sweeps.codebase.listing import files_of_code, repository_around
from runner.sweeps.codebase.submitted import SubmittedCode

_LARGE_BYTES = 200 * 10**6  # more than code has

_log = logging.getLogger(__name__)


def take_snapshot(folder: Path, *, without: Collection[Path] = ()) -> SubmittedCode:
    """Copy the code of the repository around the current folder into `folder`, or find it there.

    Files are taken as they are in the working tree (see `files_of_code`; what lies in the folders
    `without` is no code). What has not changed since an earlier snapshot in `folder` is not copied
    again; other code gets a folder of its own, since jobs that are queued keep theirs. Only who
    holds the sweep may call it.
    Raises ConfigError without a git repository, RunError if the copy cannot be written.
    """
    if os.pathsep in str(folder.absolute()):
        raise ConfigError(
            f"{folder.absolute()} cannot hold a snapshot of the code: Python's search path knows "
            f"no folder with '{os.pathsep}' in its name; use another directory"
        )
    root = repository_around(Path.cwd())
    names = files_of_code(root, without=(*without, folder))
    _warn_of_size(root, names)
    try:
        copy = _same_code(folder, root, names) or _copy(folder, root, names)
    except OSError as error:
        raise RunError(f"the code in {root} cannot be copied into {folder}: {error}") from error
    return SubmittedCode(
        record=copy / "code.json",
        repository=root,
        files=copy / "files",
        num_files=len(names),
        num_bytes=_size(copy / "files", names),
    )


def _copy(folder: Path, root: Path, names: Sequence[str]) -> Path:
    """Write a new copy; its folder appears when it is whole."""
    partial = folder / ".code.partial"
    shutil.rmtree(partial, ignore_errors=True)  # what a kill has left
    state = code_state(Path.cwd())  # before the copy, which may lie in the repository, is there
    files, known = partial / "files", _Known(names)
    files.mkdir(parents=True)
    try:
        for name in names:
            _copy_file(root, name, files / name, known)
        write_submitted(partial / "code.json", state, is_snapshot=True)
        write_json_atomically(partial / "copy.json", {"digest": _digest(files, names)})
        final = next(path for path in _places(folder) if not path.exists())
        partial.rename(final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_directory(folder)
    return final


def _same_code(folder: Path, root: Path, names: Sequence[str]) -> Path | None:
    """Return the copy there is of just this code, untouched since; the newest of several."""
    wanted = (code_state(Path.cwd()), _digest(root, names, _Known(names)))
    found = None
    for path in _places(folder):
        if not path.exists():
            return found
        # Its files are looked at, too: they may have been edited, or lost with the power.
        if _described(path) == wanted and _digest(path / "files", names) == wanted[1]:
            found = path
    return found


def _described(copy: Path) -> tuple[CodeState, str] | None:
    """Return the state of the code and the digest that a copy says it has; None if damaged."""
    try:
        state, digest = (
            json.loads((copy / name).read_text(encoding="utf-8"))[key]
            for name, key in (("code.json", "state"), ("copy.json", "digest"))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state, digest


def _places(folder: Path) -> Iterator[Path]:
    yield folder / "code"
    number = 2
    while True:
        yield folder / f"code_{number}"
        number += 1


class _Known:
    """What is in a snapshot, so that a link can go on to lead where it led."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = {str(place) for name in names for place in (Path(name), *Path(name).parents)}

    def target(self, root: Path, name: str) -> str:
        """Return what the copy of the link `name` must say.

        A link to what the snapshot holds leads there; any other to where the original leads.
        """
        link = root / name
        text = str(link.readlink())
        place = os.path.normpath(link.parent / text)
        inside = os.path.relpath(place, root)
        if inside not in self._names:
            return place
        return os.path.relpath(place, link.parent) if Path(text).is_absolute() else text


def _copy_file(root: Path, name: str, target: Path, known: _Known) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if (root / name).is_symlink():
        target.symlink_to(known.target(root, name))
    else:
        shutil.copy2(root / name, target)


def _digest(root: Path, names: Sequence[str], known: _Known | None = None) -> str:
    """Return what tells two states of the files apart: names, contents, rights and links.

    Links of a working tree are seen as they would be copied, which needs `known`.
    """
    total = hashlib.sha256()
    for name in names:
        path = root / name
        if path.is_symlink():
            content = os.fsencode(known.target(root, name) if known else path.readlink())
            kind = "link"
        elif path.is_file():
            content, kind = path.read_bytes(), "program" if os.access(path, os.X_OK) else "file"
        else:
            content, kind = b"", "gone"
        total.update(repr((name, kind, hashlib.sha256(content).hexdigest())).encode())
    return total.hexdigest()


def _size(root: Path, names: Sequence[str]) -> int:
    return sum((root / name).lstat().st_size for name in names if os.path.lexists(root / name))


def _warn_of_size(root: Path, names: Sequence[str]) -> None:
    if (total := _size(root, names)) > _LARGE_BYTES:
        largest = max(names, key=lambda name: _size(root, [name]))
        _log.warning(
            "the snapshot copies %.1f GB of code from %s; the largest file is %s (%.1f GB): let "
            ".gitignore name what is no code",
            total / 1e9,
            root,
            largest,
            _size(root, [largest]) / 1e9,
        )

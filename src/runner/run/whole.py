"""Folders and files that come whole or not at all, whoever else writes beside them.

What is under way has a name of its own, `.runner-TOKEN.tmp`: processes of different machines or
containers, which may have the same number, never meet in one. Those of killed ones are removed
later, when nothing in them has changed for a day.
"""

import ctypes
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from runner.files import sync_directory

_NAME = re.compile(r"\.runner-[0-9a-f]{16}\.tmp")
_LEFT_AFTER_SECONDS = 24 * 3600.0
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_HAS_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


@contextmanager
def new_folder(parent: Path) -> Iterator[Path]:
    """Give a hidden folder in `parent` to write into; what was not renamed is gone afterwards."""
    _remove_leftovers(parent)
    partial = _free_name(parent)
    try:
        partial.mkdir(parents=True)  # in one go: another one may remove an empty parent
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """Give a text file to write into, which is at `path` when all is in it.

    What is no plain file, as a pipe or /dev/null, is written into as it is.
    """
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    _remove_leftovers(path.parent)
    partial = _free_name(path.parent)
    try:
        with partial.open("x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def put_in_place(partial: Path, target: Path) -> None:
    """Let the folder `partial` be `target`; what was there is then `partial`, or gone.

    Whenever this is killed, one of them is there; where the file system cannot exchange them, the
    old one may lie beside as .NAME.replaced, from where `bring_back` fetches it.
    """
    if not target.exists():
        partial.rename(target)
    elif not _exchange(partial, target):
        aside = _aside(target)
        target.rename(aside)
        try:
            partial.rename(target)
        except OSError:
            aside.rename(target)
            raise
        aside.rename(partial)
    sync_directory(target.parent)


def bring_back(target: Path) -> None:
    """Put back what a killed `put_in_place` has left beside `target`."""
    if not target.exists() and _aside(target).exists():
        _aside(target).rename(target)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.replaced")


def _exchange(first: Path, second: Path) -> bool:
    """Let two folders change names in one instant; return whether the system can."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(first), _HERE, os.fsencode(second), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _HAS_NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(second))


def _free_name(parent: Path) -> Path:
    return parent / f".runner-{secrets.token_hex(8)}.tmp"


def _remove_leftovers(parent: Path) -> None:
    """Remove what killed ones have left in `parent` a day ago."""
    with suppress(OSError):
        for entry in os.scandir(parent):
            path = Path(entry.path)
            if _NAME.fullmatch(entry.name) and _age(path) > _LEFT_AFTER_SECONDS:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    """Return for how many seconds nothing has changed in `path`."""
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    return time.time() - max(each.lstat().st_mtime for each in (path, *inside))

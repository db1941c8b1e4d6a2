"""Where in somebody's code an exception was raised, or a process stood when it died."""

import os
import sys
import sysconfig
import traceback
from pathlib import Path

# Their innards tell a user nothing: what called them does.
_LIBRARIES = ("torch", "numpy", "PIL", "hydra", "omegaconf", "psutil")
_PACKAGES = f"{os.sep}site-packages{os.sep}"
_STDLIB = str(Path(sysconfig.get_path("stdlib")).resolve()) + os.sep


def raised_at(error: BaseException) -> str | None:
    """Return "net.py:12", the innermost line behind `error` that is not of a library; or None."""
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if not _is_of_library(frame.filename):
            return _named(frame.filename, frame.lineno or 0)
    return None


def died_at(log: str) -> str | None:
    """Return the same from the stack that `faulthandler` wrote into `log` last; None without one.

    It begins with the innermost frame, and ends with an empty line or the log.
    """
    stack = log.rpartition("(most recent call first):")[2]
    if stack == log:
        return None
    for line in stack.splitlines()[1:]:
        words = line.strip().split('"')
        if len(words) < 3 or not line.startswith('  File "'):
            break
        number = words[2].removeprefix(", line ").split()[0]
        if not _is_of_library(words[1]):
            return _named(words[1], int(number))
    return None


def _is_of_library(filename: str) -> bool:
    if filename.startswith("<"):  # frozen, or made from a text
        return True
    _, found, inside = filename.rpartition(_PACKAGES)
    if found:
        return Path(inside).parts[0] in _LIBRARIES
    return str(Path(filename).resolve()).startswith(_STDLIB)


def _named(filename: str, line: int) -> str:
    """Return the place with a short path: from where Python looked for the file, if it did."""
    path = Path(filename).resolve()
    for folder in (Path.cwd(), *(Path(entry) for entry in sys.path if entry)):
        if path.is_relative_to(folder.resolve()):
            return f"{path.relative_to(folder.resolve())}:{line}"
    return f"{path}:{line}"

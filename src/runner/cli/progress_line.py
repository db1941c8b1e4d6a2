"""A line on a terminal that says how far a command is; in a pipe, nothing."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from runner.inference.progress import Tell, tell_nobody

_CLEAR = "\x1b[K"  # from here to the end of the line


@contextmanager
def progress_line() -> Iterator[Tell]:
    """Give what shows a text in place of the one before, on stderr; at the end it is gone."""
    if not sys.stderr.isatty():
        yield tell_nobody
        return

    def show(text: str) -> None:
        columns = shutil.get_terminal_size().columns
        print(f"{_CLEAR}{text[: columns - 1]}", end="\r", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print(_CLEAR, end="", file=sys.stderr, flush=True)

"""Where runner's log lines go: to the console, and with tracebacks to the run's own log file."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from runner.run.secrets import RedactingFormatter

_logger = logging.getLogger("runner")


@contextmanager
def own_logging() -> Iterator[None]:
    """Let runner log what it does, to its own places alone, until the end."""
    before = _logger.level, _logger.propagate
    _logger.setLevel(logging.INFO)
    _logger.propagate = False
    try:
        yield
    finally:
        _logger.level, _logger.propagate = before


@contextmanager
def logging_to_console() -> Iterator[None]:
    """Write what runner logs to the console, until the end."""
    console = _Console()
    console.setFormatter(RedactingFormatter())
    console.addFilter(lambda record: not getattr(record, "only_in_file", False))
    with _handled_by(console):
        yield


@contextmanager
def logging_to_file(path: Path) -> Iterator[None]:
    """Write what runner logs to the file at `path` as well, until the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    with _handled_by(file):
        yield


@contextmanager
def output_to_file(path: Path) -> Iterator[None]:
    """Append what this process writes to stdout and stderr to the file at `path`, until the end.

    Also what is not written by Python: the last words of a crash.
    """
    streams = (sys.stdout, sys.stderr)
    before = [os.dup(number) for number in (1, 2)]
    try:
        with path.open("ab", buffering=0) as file:
            for stream, number in zip(streams, (1, 2), strict=True):
                stream.flush()
                os.dup2(file.fileno(), number)
        yield
    finally:
        for stream, number, saved in zip(streams, (1, 2), before, strict=True):
            stream.flush()
            os.dup2(saved, number)
            os.close(saved)


def log_traceback(message: str) -> None:
    """Write the exception being handled to the log file; the console hears it from the command."""
    _logger.error(message, exc_info=True, extra={"only_in_file": True})


@contextmanager
def _handled_by(handler: logging.Handler) -> Iterator[None]:
    _logger.addHandler(handler)
    try:
        yield
    finally:
        _logger.removeHandler(handler)
        handler.close()


class _Console(logging.StreamHandler[TextIO]):
    """Writes to what stderr is now: a progress bar redirects it to write above itself."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

"""Where runner's log lines go: to the console, and with tracebacks to the run's own log file."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_logger = logging.getLogger("runner")


@contextmanager
def logging_to_console() -> Iterator[None]:
    """Write what runner logs to the console, until the end."""
    console = _Console()
    console.addFilter(lambda record: not getattr(record, "only_in_file", False))
    before = _logger.level, _logger.propagate
    _logger.setLevel(logging.INFO)
    _logger.propagate = False
    try:
        with _handled_by(console):
            yield
    finally:
        _logger.level, _logger.propagate = before


@contextmanager
def logging_to_file(path: Path) -> Iterator[None]:
    """Write what runner logs to the file at `path` as well, until the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    with _handled_by(file):
        yield


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

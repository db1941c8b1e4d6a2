"""Tell what failed in a rehearsal in a sentence, and what runner warned of."""

import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from runner.errors import ConfigError, RunnerError
from runner.job.observed import Stage
from runner.runtime.location import raised_at


def told(error: BaseException, stage: Stage) -> list[str]:
    """Return what failed at `stage` in a sentence; with HYDRA_FULL_ERROR=1 with its traceback."""
    if isinstance(error, ConfigError):
        sentences = list(error.problems)
    elif isinstance(error, RunnerError):
        sentences = [str(error)]
    else:
        sentences = [_sentence(error, stage)]
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        sentences[-1] += "\n" + "".join(traceback.format_exception(error)).rstrip()
    return sentences


@contextmanager
def warnings_heard() -> Iterator[list[str]]:
    """Collect what runner warns of within."""
    heard: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("runner")
    logger.addHandler(handler)
    try:
        yield heard
    finally:
        logger.removeHandler(handler)


def _sentence(error: BaseException, stage: Stage) -> str:
    """Return what failed: the stage, the exception, the line, and the batch if there was one."""
    text = next(iter(str(error).splitlines()), "")
    name = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = raised_at(error)
    notes = [*getattr(error, "__notes__", ()), *([f"batch: {stage.batch}"] if stage.batch else [])]
    return (
        f"{stage.name} failed: {name}{f', at {place}' if place else ''}"
        f"{' (' + '; '.join(notes) + ')' if notes else ''}"
    )

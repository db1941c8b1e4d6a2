"""`predict`: read pictures with a trained run, and tell which of them could not be read."""

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from runner.build.trained.inference import load_reader
from runner.cli.named_pictures import paths_from
from runner.cli.stopping import stoppable
from runner.cli.terminal_text import printable
from runner.config.trust import NOBODY_ELSE, Trust
from runner.data.pictures import find_pictures
from runner.errors import ConfigError, DataError, RunError
from runner.inference.predict import predict_pictures
from runner.inference.rows import WRITERS, write_rows
from runner.run.whole import new_file

STDIN = "-"
_OVERRIDE = re.compile(r"[+~]*[a-z_][\w.]*=")
_BY_SUFFIX = {".csv": "csv", ".jsonl": "jsonl", ".txt": "table"}


def predict(
    directory: Path,
    files: Sequence[str],
    *,
    form: str | None,
    output: Path | None,
    batch_size: int,
    device: str,
    step: int | None,
    engine: str = "torch",
    trust: Trust = NOBODY_ELSE,
) -> int:
    """Write a row for each picture that can be read, and a line on stderr for each other one.

    Returns the exit code: 1 if there was one of those, or no picture at all.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    chosen = _format_of(form, output)
    _check_folder(output)
    _refuse_overrides(files)
    reader = load_reader(directory, device=device, step=step, engine=engine, trust=trust)
    print(f"confidence: {reader.calibration}", file=sys.stderr)
    bad = 0

    def tell(_file: object, error: DataError) -> None:
        nonlocal bad
        bad += 1
        print(f"left out: {printable(str(error))}", file=sys.stderr)

    readings = predict_pictures(
        reader.model,
        reader.task,
        reader.preprocessor,
        find_pictures(_paths(files), tell),
        device=reader.device,
        precision=reader.precision,
        calibration=reader.calibration,
        batch_size=batch_size,
        on_unreadable=tell,
    )
    left = "what is above is what was read" if output is None else f"{output} is not written"
    with stoppable(left), _opened(output) as file:
        number = write_rows(map(asdict, readings), chosen, file)
    if not number and not bad and STDIN in files:
        print("standard input names no picture", file=sys.stderr)
    left_out = f", {bad:,} left out" if bad else ""
    print(f"{number:,} picture{'' if number == 1 else 's'} read{left_out}", file=sys.stderr)
    return 0 if number and not bad else 1


def _refuse_overrides(files: Sequence[str]) -> None:
    """Raise ConfigError for a word that is no file and looks like an override."""
    for word in files:
        if _OVERRIDE.match(word) and not os.path.lexists(word):
            raise ConfigError(
                f"{word} is no file, and predict takes no overrides: a run reads as it was "
                "trained (`evaluate` takes them)"
            )


def _paths(files: Iterable[str]) -> Iterator[Path]:
    for name in files:
        if name == STDIN:
            yield from paths_from(sys.stdin.buffer)
        else:
            yield Path(name)


def _format_of(form: str | None, output: Path | None) -> str:
    """Return in which format to write; ConfigError where the suffix says something else."""
    if output is None or not output.suffix or (output.exists() and not output.is_file()):
        return form or "table"
    suffix = output.suffix.lower()
    meant = _BY_SUFFIX.get(suffix)
    if form is None and meant is None:
        raise ConfigError(
            f"--output {output}: {suffix} says no format; end it with {', '.join(_BY_SUFFIX)}, or "
            f"add --format {', '.join(WRITERS)}"
        )
    if form is not None and meant not in (None, form):
        raise ConfigError(f"--output {output} ends as {meant} does, and --format is {form}")
    return form or str(meant)


def _check_folder(output: Path | None) -> None:
    """Raise RunError if there can be no such file, before anything is computed."""
    if output is None:
        return
    if not output.parent.is_dir():
        raise RunError(f"{output} cannot be written: there is no folder {output.parent}")
    if not os.access(output.parent, os.W_OK):
        raise RunError(f"{output} cannot be written: {output.parent} lets nobody write into it")


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Give where to write: stdout, or a file that is there when all is in it."""
    if output is None:
        yield sys.stdout
        return
    try:
        with new_file(output) as file:
            yield file
    except OSError as error:
        raise RunError(f"{output} cannot be written: {error.strerror or error}") from error

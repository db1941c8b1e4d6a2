"""`predict`: read pictures with a trained run, and tell which of them could not be read."""

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, TextIO

from runner.build.inference import load_reader
from runner.config.trust import NOBODY_ELSE, Trust
from runner.data.pictures import find_pictures
from runner.errors import DataError, RunError
from runner.inference.predict import predict_pictures
from runner.inference.rows import WRITERS, write_rows

STDIN = "-"


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
    reader = load_reader(directory, device=device, step=step, engine=engine, trust=trust)
    print(f"confidence: {reader.calibration}", file=sys.stderr)
    bad = 0

    def tell(_file: object, error: DataError) -> None:
        nonlocal bad
        bad += 1
        print(f"left out: {error}", file=sys.stderr)

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
    with _opened(output) as file:
        number = write_rows(map(asdict, readings), form or _format_of(output), file)
    left_out = f", {bad:,} left out" if bad else ""
    print(f"{number:,} pictures read{left_out}", file=sys.stderr)
    return 0 if number and not bad else 1


def paths_from(stream: BinaryIO) -> Iterator[Path]:
    """Yield the paths that a stream names as they come, one a line; or apart by NUL bytes.

    These are known by the first NUL, which no path has: `find -print0` gives any name whole.
    """
    waiting, separator = b"", b""
    while chunk := _read_some(stream):
        waiting += chunk
        if not separator:
            separator = b"\0" if b"\0" in waiting else b"\n"
        *whole, waiting = waiting.split(separator)
        yield from (Path(os.fsdecode(name)) for name in whole if name)
    if waiting.strip(b"\n"):
        yield Path(os.fsdecode(waiting))


def _read_some(stream: BinaryIO) -> bytes:
    """Return what is there, without waiting until a buffer is full."""
    return stream.read1(1 << 16)  # type: ignore[attr-defined]


def _paths(files: Iterable[str]) -> Iterator[Path]:
    for name in files:
        if name == STDIN:
            yield from paths_from(sys.stdin.buffer)
        else:
            yield Path(name)


def _format_of(output: Path | None) -> str:
    suffix = "" if output is None else output.suffix.removeprefix(".").lower()
    return suffix if suffix in WRITERS else "table"


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Give where to write: stdout, or a file that is there when all is in it."""
    if output is None:
        yield sys.stdout
        return
    partial = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(output)
    except OSError as error:
        raise RunError(f"{output} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)

"""Read a growing journal piece by piece, from a remembered byte on."""

from pathlib import Path
from typing import BinaryIO

from runner.run.journal import Row, row_in

_CHUNK_BYTES = 256 * 1024


def read_rows(path: Path, *, offset: int) -> tuple[list[Row], int]:
    """Return whole rows from byte `offset` on, where a line begins, and the offset behind them.

    Lines that are no rows are passed over; a last line without its end is left for later.
    """
    rows: list[Row] = []
    if not has_more(path, offset=offset):
        return rows, offset
    with path.open("rb") as file:
        while not rows and (whole := _whole_lines(file, offset)):
            offset += len(whole)
            rows = [row for line in whole.splitlines() if (row := row_in(line)) is not None]
    return rows, offset


def _whole_lines(file: BinaryIO, offset: int) -> bytes:
    file.seek(offset)
    chunk = file.read(_CHUNK_BYTES)
    if len(chunk) == _CHUNK_BYTES and b"\n" not in chunk:
        chunk += file.readline()
    return chunk[: chunk.rfind(b"\n") + 1]


def begins_a_line(path: Path, *, offset: int) -> bool:
    """Tell whether a line of the journal begins, or will begin, at byte `offset`.

    If not, `offset` was remembered from a journal that has lost its end since, or was replaced.
    """
    if offset == 0:
        return True
    if not path.exists():
        return False
    with path.open("rb") as file:
        file.seek(offset - 1)
        return file.read(1) == b"\n"


def has_more(path: Path, *, offset: int) -> bool:
    """Tell whether the journal is longer or shorter than `offset`; one look at the file."""
    return path.exists() and path.stat().st_size != offset


def count_rows(path: Path, *, offset: int = 0) -> int:
    """Return the number of whole rows from byte `offset` on."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(offset)
        return sum(line.endswith(b"\n") for line in file)

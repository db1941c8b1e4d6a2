"""Read a growing journal piece by piece, from a remembered byte on."""

import json
from pathlib import Path

from runner.run.journal import Row

_CHUNK_BYTES = 256 * 1024


def read_rows(path: Path, *, offset: int) -> tuple[list[Row], int]:
    """Return some whole rows from byte `offset` on, and the offset behind them.

    A last line without its end is left for later. An offset behind the end means that another
    journal took the place of the one it belonged to: reading begins anew.
    """
    if not has_more(path, offset=offset):
        return [], offset
    with path.open("rb") as file:
        file.seek(offset if offset <= path.stat().st_size else 0)
        begin = file.tell()
        chunk = file.read(_CHUNK_BYTES)
        if len(chunk) == _CHUNK_BYTES and b"\n" not in chunk:
            chunk += file.readline()
    whole = chunk[: chunk.rfind(b"\n") + 1]
    return [Row(**json.loads(line)) for line in whole.splitlines()], begin + len(whole)


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

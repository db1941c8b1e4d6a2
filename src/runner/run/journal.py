"""The journal `metrics.jsonl`: every logged value once, append-only; trackers mirror it.

One JSON object a line:

    {"step": 50, "epoch": 0.5, "time": 1790000000.0, "split": "train", "values": {"loss": 0.7}}

Splits: `train` (means since the last row), `evaluation`, `test`, and `speed`, whose values depend
on the machine; callbacks add splits of their own, such as `system`. After a resume, steps that run
again produce the same rows: the first-written row stands. A line that is no row stays where it is,
and every reader passes over it.
"""

import json
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.files import drop_torn_line

_BLOCK = 65_536  # bytes read at once from the end
_NUMBERS = (float, int)  # as JSON gives them: true is none

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the journal; `epoch` is fractional, `time` is seconds since 1970."""

    step: int
    epoch: float
    time: float
    split: str
    values: dict[str, float]


class Journal:
    """The journal open for appending, by one process; a thread that saves may sync it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        drop_torn_line(path)
        self._known: set[tuple[int, str]] = set()
        self._last: dict[str, int] = {}  # the furthest step of each split
        rows, self.damaged = readable_rows(path)  # numbers, from 1, of lines that are no rows
        for row in rows:
            self._know(row)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self._waiting = b""  # what a full disk did not take yet
        self._writing = threading.Lock()

    @property
    def has_rows(self) -> bool:
        """Return whether there is any row."""
        return bool(self._known)

    def last_step(self, split: str) -> int:
        """Return the furthest step that has a row of `split`; -1 if none has."""
        return self._last.get(split, -1)

    def append(self, row: Row) -> bool:
        """Write `row` unless its step and split are there already; return whether it was."""
        if (row.step, row.split) in self._known:
            return False
        self._know(row)
        line = json.dumps(asdict(row), ensure_ascii=False).encode() + b"\n"
        try:
            self._write(line)
        except OSError as error:  # a full disk: training goes on, the row waits for the next try
            _log.error("the journal cannot be written, its rows wait in memory: %s", error)
        return True

    def sync(self) -> None:
        """Make all rows survive a power loss; called before a checkpoint that builds on them.

        Raises OSError when the disk does not take them.
        """
        self._write()
        os.fsync(self._file)

    def close(self) -> None:
        """Sync and close; OSError when rows are left that the disk did not take."""
        try:
            self.sync()
        finally:
            os.close(self._file)

    def _know(self, row: Row) -> None:
        self._known.add((row.step, row.split))
        self._last[row.split] = max(row.step, self.last_step(row.split))

    def _write(self, line: bytes = b"") -> None:
        with self._writing:
            self._waiting += line
            while self._waiting:
                written = os.write(self._file, self._waiting)
                self._waiting = self._waiting[written:]


def read_journal(path: Path) -> list[Row]:
    """Return the rows of the journal at `path`; an absent file has none."""
    return readable_rows(path)[0]


def readable_rows(path: Path) -> tuple[list[Row], list[int]]:
    """Return the rows that can be read and the numbers, from 1, of whole lines that cannot."""
    rows: list[Row] = []
    damaged: list[int] = []
    if not path.exists():
        return rows, damaged
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):  # another process is in the middle of writing it
                break
            if (row := row_in(line)) is not None:
                rows.append(row)
            else:
                damaged.append(number)
    return rows, damaged


def row_in(line: bytes) -> Row | None:
    """Return the row that `line` holds; None if it holds something else."""
    try:
        row = Row(**json.loads(line.decode()))
        is_row = (
            type(row.step) is int
            and isinstance(row.split, str)
            and type(row.epoch) in _NUMBERS
            and type(row.time) in _NUMBERS
            and all(type(value) in _NUMBERS for value in row.values.values())
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return row if is_row else None


def rows_since(path: Path, step: int) -> list[Row]:
    """Return the rows at the end of the journal from `step` on, without reading what is before.

    Rows that cannot be read are left out; an absent file has none.
    """
    found: list[Row] = []
    for line in _lines_from_end(path):
        row = row_in(line)
        if row is None:
            continue
        if row.step < step:
            break
        found.append(row)
    return found[::-1]


def _lines_from_end(path: Path) -> Iterator[bytes]:
    """Give the whole lines of a file, the last first."""
    if not path.exists():
        return
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        rest, is_end = b"", True
        while position:
            size = min(_BLOCK, position)
            position = file.seek(position - size)
            first, *lines = (file.read(size) + rest).split(b"\n")
            if is_end and lines:  # what follows the last line is not whole, or nothing
                lines.pop()
                is_end = False
            elif is_end:
                first = b""
            yield from reversed(lines)
            rest = first
        if not is_end and rest:
            yield rest

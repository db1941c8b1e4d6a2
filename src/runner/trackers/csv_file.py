"""`CSVTracker`: every logged value in RUN_DIR/metrics.csv, for a spreadsheet or pandas.

    step,epoch,time,split,loss,lr,accuracy
    50,0.5,1790000000.0,train,0.7,0.001,
    50,0.5,1790000000.1,evaluation,0.6,,0.91

A line for each row of the journal; a value that a row does not have is empty.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.files import write_text_atomically
from runner.run.journal import Row
from runner.trackers.appending import AppendedFile, LostEndError
from runner.trackers.following import FollowingTracker
from runner.trackers.tracker import TrackedRun

COLUMNS = ("step", "epoch", "time", "split")


class CSVTracker(FollowingTracker):
    """Writes metrics.csv into the run directory while training goes on."""

    def __init__(self) -> None:
        super().__init__(CSVFile)


class CSVFile:
    """A sink: the file metrics.csv; a column is added, at the end, when its first value comes."""

    def __init__(self, run: TrackedRun, state: Mapping[str, Any] | None) -> None:
        self._path = run.directory.table
        self._columns: list[str] = []
        self.continues = False
        if state is not None and _header(self._path) == state["columns"]:
            try:
                self._file = AppendedFile(self._path, size=state["size"])
                self._columns = state["columns"]
                self.continues = True
            except LostEndError:
                pass
        if not self.continues:
            self._path.unlink(missing_ok=True)
            self._file = AppendedFile(self._path, size=0)
            self._add_columns(COLUMNS)

    def write(self, rows: Sequence[Row]) -> None:
        names = dict.fromkeys(name for row in rows for name in row.values)
        self._add_columns(name for name in names if name not in self._columns[len(COLUMNS) :])
        self._file.append(_lines(self._fields(row) for row in rows).encode())

    def state_dict(self) -> dict[str, Any]:
        return {"size": self._file.size, "columns": self._columns}

    def close(self, state: str) -> None: ...

    def _fields(self, row: Row) -> list[object]:
        values = [row.values.get(name, "") for name in self._columns[len(COLUMNS) :]]
        return [row.step, row.epoch, row.time, row.split, *values]

    def _add_columns(self, names: Iterable[str]) -> None:
        """Write the file again, its lines so far with empty fields for the new columns."""
        columns = [*self._columns, *names]
        if columns == self._columns:
            return
        with self._path.open("rb") as file:
            whole = file.read(self._file.size).decode()
        old = list(csv.reader(io.StringIO(whole)))[1:]
        width = len(columns)
        text = _lines([columns, *(line + [""] * (width - len(line)) for line in old)])
        write_text_atomically(self._path, text)
        self._file = AppendedFile(self._path, size=len(text.encode()))
        self._columns = columns


def _header(path: Path) -> list[str] | None:
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), None)


def _lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()

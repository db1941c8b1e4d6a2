"""Write rows, such as predictions, as a table, as CSV or as JSON lines."""

import csv
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import TextIO

from runner.errors import ConfigError, did_you_mean

Row = Mapping[str, str | float]


def write_rows(rows: Iterable[Row], format: str, file: TextIO) -> int:
    """Write rows, which all have the same fields, to `file` in "table", "csv" or "jsonl".

    Returns their number. CSV and JSON lines are written row by row; a table waits for the last row.
    """
    if format not in WRITERS:
        raise ConfigError(
            f"format must be one of {', '.join(WRITERS)}, got '{format}'"
            + did_you_mean(format, WRITERS)
        )
    return WRITERS[format](rows, file)


def _write_jsonl(rows: Iterable[Row], file: TextIO) -> int:
    number = 0
    for row in rows:
        file.write(json.dumps(_rounded(row), ensure_ascii=False) + "\n")
        file.flush()  # who reads a pipe has it now
        number += 1
    return number


def _write_csv(rows: Iterable[Row], file: TextIO) -> int:
    writer = csv.writer(file, lineterminator="\n")
    number = 0
    for row in rows:
        if number == 0:
            writer.writerow(row)
        writer.writerow(_rounded(row).values())
        file.flush()
        number += 1
    return number


def _write_table(rows: Iterable[Row], file: TextIO) -> int:
    lines = [{name: str(value) for name, value in _rounded(row).items()} for row in rows]
    if not lines:
        return 0
    header = {name: name for name in lines[0]}
    widths = {name: max(_columns(line[name]) for line in [header, *lines]) for name in header}
    for line in [header, *lines]:
        cells = (line[name] + " " * (widths[name] - _columns(line[name])) for name in header)
        file.write("  ".join(cells).rstrip() + "\n")
    return len(lines)


def _columns(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    wide = sum(unicodedata.east_asian_width(symbol) in "WF" for symbol in text)
    return len(text) + wide - sum(unicodedata.combining(symbol) > 0 for symbol in text)


def _rounded(row: Row) -> dict[str, str | float]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}


WRITERS: dict[str, Callable[[Iterable[Row], TextIO], int]] = {
    "table": _write_table,
    "csv": _write_csv,
    "jsonl": _write_jsonl,
}

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

    Returns their number. CSV and JSON lines are written row by row, numbers with six digits; a
    table waits for the last row, and shows four decimals.
    """
    if format not in WRITERS:
        raise ConfigError(
            f"format must be one of {', '.join(WRITERS)}, got '{format}'"
            + did_you_mean(format, WRITERS)
        )
    return WRITERS[format](rows, file)


def six_digits(value: float) -> float:
    """Return it rounded to six digits, wherever they begin: small ones can be ranked, too."""
    return float(f"{value:.6g}")


def _write_jsonl(rows: Iterable[Row], file: TextIO) -> int:
    number = 0
    for row in rows:
        file.write(json.dumps(_each_number(row, six_digits), ensure_ascii=False) + "\n")
        file.flush()  # who reads a pipe has it now
        number += 1
    return number


def _write_csv(rows: Iterable[Row], file: TextIO) -> int:
    writer = csv.writer(file, lineterminator="\n")
    number = 0
    for row in rows:
        if number == 0:
            writer.writerow(row)
        writer.writerow(_each_number(row, six_digits).values())
        file.flush()
        number += 1
    return number


def _write_table(rows: Iterable[Row], file: TextIO) -> int:
    lines = [
        {name: str(value) for name, value in _each_number(row, _short).items()} for row in rows
    ]
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


def _each_number(row: Row, rounded: Callable[[float], float]) -> dict[str, str | float]:
    return {k: rounded(v) if isinstance(v, float) else v for k, v in row.items()}


def _short(value: float) -> float:
    """Return it with four decimals; what would be 0 by that keeps its first digits."""
    return round(value, 4) or float(f"{value:.2g}")


WRITERS: dict[str, Callable[[Iterable[Row], TextIO], int]] = {
    "table": _write_table,
    "csv": _write_csv,
    "jsonl": _write_jsonl,
}

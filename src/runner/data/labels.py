"""The labels.csv of a folder of pictures: a row a picture, columns file, text, split and others."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from runner.errors import DataError, did_you_mean

LABELS_FILE = "labels.csv"

Wanted = str | int | float | bool | Sequence[str | int | float | bool]  # one value or several


@dataclass(frozen=True, slots=True)
class Label:
    """One row of labels.csv; `row` is its line in the file, the header being line 1."""

    row: int
    columns: dict[str, str]

    @property
    def file(self) -> str:
        return self.columns["file"]

    @property
    def text(self) -> str:
        return self.columns["text"]


@dataclass(frozen=True)
class Labels:
    """The rows of one labels.csv, in the order of the file."""

    path: Path
    names: tuple[str, ...]  # the columns
    rows: list[Label]

    def values(self, column: str) -> list[str]:
        """Return the values in `column`, sorted; raises DataError if there is no such column."""
        self.require_column(column)
        return sorted({label.columns[column] for label in self.rows})

    def require_column(self, column: str) -> None:
        if column not in self.names:
            raise DataError(
                f"{self.path} has no column '{column}'; it has {', '.join(self.names)}"
                + did_you_mean(column, self.names)
            )

    def where(self, conditions: Mapping[str, Wanted | None]) -> "Labels":
        """Return the rows whose column holds (one of) the wanted value(s), for every condition.

        A condition of None asks for nothing. Raises DataError if no row is left.
        """
        rows = self.rows
        for column, wanted in conditions.items():
            if wanted is None:
                continue
            self.require_column(column)
            accepted = wanted_values(wanted)
            rows = [label for label in rows if label.columns[column] in accepted]
            if not rows:
                raise DataError(
                    f"no row of {self.path} is left after data.where.{column}="
                    f"{','.join(sorted(accepted))}; the column holds {_few(self.values(column))}"
                )
        return Labels(self.path, self.names, rows)


def load_labels(root: str | Path) -> Labels:
    """Read `root`/labels.csv (UTF-8, with or without a byte order mark); raises DataError."""
    folder = Path(root)
    if not folder.is_dir():
        raise DataError(f"data.root={root}: there is no such folder")
    path = folder / LABELS_FILE
    if not path.is_file():
        raise DataError(
            f"data.root={root} holds no {LABELS_FILE}: it needs one row for each picture, "
            "with the columns file, text and split"
        )
    try:
        return _parse(path, path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8 text"
        ) from error


def _parse(path: Path, content: str) -> Labels:
    reader = csv.reader(StringIO(content, newline=""), strict=True)
    try:
        names = tuple(name.strip() for name in next(reader, []))
        rows = [_label(path, reader.line_num, names, values) for values in reader if values]
    except csv.Error as error:
        raise DataError(f"{path} row {reader.line_num} is no CSV: {error}") from error
    labels = Labels(path, names, rows)
    for column in ("file", "text"):
        labels.require_column(column)
    if not rows:
        raise DataError(f"{path} is empty: it has a header and no rows")
    return labels


def _label(path: Path, row: int, names: tuple[str, ...], values: list[str]) -> Label:
    if len(values) != len(names):
        raise DataError(f"{path} row {row} has {len(values)} values, the header has {len(names)}")
    return Label(row, dict(zip(names, values, strict=True)))


def wanted_values(wanted: Wanted | None) -> set[str]:
    """Return one value or several (None: none) as the texts that stand in a CSV file."""
    if wanted is None:
        return set()
    several = [wanted] if isinstance(wanted, str | int | float | bool) else wanted
    return {str(value) for value in several}


def _few(values: list[str], limit: int = 8) -> str:
    more = f" and {len(values) - limit} more" if len(values) > limit else ""
    return ", ".join(values[:limit]) + more

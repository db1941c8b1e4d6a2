"""Text in columns for a terminal."""

import os
import shutil
import sys
from collections.abc import Sequence

from runner.cli.terminal_text import escaped

_MIN_LAST = 24  # the last column is not cut shorter than this
_COLORS = {
    "completed": "32",
    "running": "36",
    "failed": "31",
    "lost": "35",
    "preempted": "33",
    "cancelled": "33",
    "queued": "2",
    "pruned": "2",
}


def width_of() -> int | None:
    """Return the width of the terminal; None for a file or a pipe, where nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str], width: int | None
) -> list[str]:
    """Return the lines of a table; columns named in `left` begin left, the others end right.

    Cells of the last column are cut in their middle where the lines would be wider than `width`.
    What is not seen is escaped.
    """
    header, *rows = ([escaped(cell) for cell in cells] for cells in (header, *rows))
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    if width is not None:
        others = sum(widths[:-1]) + 2 * (len(widths) - 1)
        widths[-1] = min(widths[-1], max(_MIN_LAST, width - others))

    def line(cells: Sequence[str]) -> str:
        shown = [*cells[:-1], shortened(cells[-1], widths[-1])]
        fitted = [
            cell.ljust(size) if name in left else cell.rjust(size)
            for cell, size, name in zip(shown, widths, header, strict=True)
        ]
        return "  ".join(fitted).rstrip()

    return [line(header), *(line(row) for row in rows)]


def shortened(text: str, width: int) -> str:
    """Return `text` with its middle left out if it is longer than `width`."""
    if len(text) <= width:
        return text
    front = (width - 1) // 2
    return f"{text[:front]}…{text[len(text) - (width - 1 - front) :]}"


def colored(line: str, state: str) -> str:
    """Return `line` with the word `state` in its colour, on a terminal that wants colours."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ or state not in _COLORS:
        return line
    return line.replace(state, f"\033[{_COLORS[state]}m{state}\033[0m", 1)

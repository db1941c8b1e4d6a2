"""`ls`: the runs and sweeps below some folders, a row for each."""

import json
import math
import os
import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.cli.columns import colored, shortened, table, width_of
from runner.cli.listing.choice import Choice, Row, best_run, in_order
from runner.cli.status import ago
from runner.cli.terminal_text import escaped
from runner.errors import RunError
from runner.sweeps.listing import Damaged, Listed, ListedRun, ListedSweep, read_places
from runner.sweeps.places import places_in
from runner.sweeps.summary import counts_of
from runner.training.callbacks.console_view import duration, short

_LEFT = ("name", "state", "metric", "overrides", "path")
_DISPENSABLE = ("name", "took", "step", "metric", "began")  # in a narrow terminal, in order
_LONGEST_OVERRIDES = 48  # in a terminal
_SHORTEST_OVERRIDES = 16


@dataclass(frozen=True, kw_only=True)
class View:
    """How a list is shown."""

    opens_sweeps: bool = False
    sort: str = "age"
    reverse: bool = False
    limit: int | None = None
    as_json: bool = False


def ls(paths: Sequence[Path], choice: Choice, view: View) -> None:
    """Print what lies in `paths` (none: where runs go) and is asked for."""
    paths = paths or [Path(os.environ.get("RUNNER_OUTPUT_DIR") or "outputs")]
    missing = next((path for path in paths if not path.is_dir()), None)
    if missing is not None:
        raise RunError(f"{missing} is no folder here: name one that holds runs, or begin a run")
    found, problem = read_places(places_in(paths))
    rows = choice.among(_opened(found) if view.opens_sweeps else found)
    rows = in_order(rows, by=view.sort, reverse=view.reverse)
    damaged = [*(each for each in found if isinstance(each, Damaged)), *choice.damaged]
    shown = rows if view.limit is None else rows[: view.limit]
    if view.as_json:
        for row in (*shown, *damaged):
            print(json.dumps(_plain(row), ensure_ascii=False, allow_nan=False))
        return
    _print_table(shown)
    for each in damaged:
        print(escaped(f"{shown_path(each.path)} {each.problem}"))
    if problem is not None:
        print(f"states are those of the files, since Slurm could not be asked: {problem}")
    if view.sort == "score" and (names := _names_of_scores(rows)):
        print(f"scores of {names} stand in one order, which says little: --name chooses one")
    print(_sentence(rows, found, num_shown=len(shown)))


def shown_path(path: Path) -> str:
    """Return a path from here if it lies below the current folder, else as it was given."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(path)


def _opened(found: Iterable[Listed]) -> Iterable[Listed]:
    for each in found:
        if isinstance(each, ListedSweep):
            yield from each.runs
        else:
            yield each


def _print_table(rows: Sequence[Row]) -> None:
    if not rows:
        return
    metrics = {best.metric for row in rows if (best := best_run(row)) is not None}
    metric = next(iter(metrics)) if len(metrics) == 1 else "score"
    header = ["name", "state", metric, "metric", "step", "began", "took", "overrides", "path"]
    shared = _shared_words(rows)
    cells = [_cells(row, shared) for row in rows]
    if len(metrics) <= 1:
        header, cells = _without(header, cells, "metric")
    if (width := width_of()) is not None:
        header, cells = _fitted(header, cells, width)
    lines = table(header, cells, left=_LEFT, width=None)  # a path that is cut cannot be typed
    print(lines[0])
    for row, line in zip(rows, lines[1:], strict=True):
        print(colored(line, row.state) if isinstance(row, ListedRun) else line)
    print()


def _fitted(
    header: list[str], cells: list[list[str]], width: int
) -> tuple[list[str], list[list[str]]]:
    """Leave columns out until the lines fit: a path is not cut, and what tells rows apart late."""
    header, cells = _with_overrides(header, cells, _LONGEST_OVERRIDES)
    dropped = [name for name in _DISPENSABLE if name in header]
    for name in reversed(_DISPENSABLE):
        if name in dropped:
            tried = _without_all(header, cells, [each for each in dropped if each != name])
            if _width(*_with_overrides(*tried, _SHORTEST_OVERRIDES)) <= width:
                dropped.remove(name)
    header, cells = _without_all(header, cells, dropped)
    rest = _width(*_with_overrides(header, cells, len("overrides")))
    room = width - rest + len("overrides")
    if room < len("overrides"):
        return _without(header, cells, "overrides")
    return _with_overrides(header, cells, room)


def _with_overrides(
    header: list[str], cells: list[list[str]], longest: int
) -> tuple[list[str], list[list[str]]]:
    at = header.index("overrides")
    return header, [[*row[:at], shortened(row[at], longest), *row[at + 1 :]] for row in cells]


def _without(
    header: list[str], cells: list[list[str]], name: str
) -> tuple[list[str], list[list[str]]]:
    at = header.index(name)
    return header[:at] + header[at + 1 :], [line[:at] + line[at + 1 :] for line in cells]


def _without_all(
    header: list[str], cells: list[list[str]], names: Iterable[str]
) -> tuple[list[str], list[list[str]]]:
    for name in names:
        header, cells = _without(header, cells, name)
    return header, cells


def _width(header: list[str], cells: list[list[str]]) -> int:
    columns = zip(header, *cells, strict=True)
    return sum(max(map(len, column)) for column in columns) + 2 * (len(header) - 1)


def _shared_words(rows: Sequence[Row]) -> set[str]:
    """Return the overrides that all rows have: they tell none from another."""
    words = [set(_overrides(row)) for row in rows]
    return set.intersection(*words) if len(words) > 1 else set()


def _cells(row: Row, shared: Collection[str]) -> list[str]:
    best = best_run(row)
    has_score = best is not None and best.row.score is not None
    now = row.now if isinstance(row, ListedRun) else row.runs[0].now if row.runs else None
    words = [word for word in _overrides(row) if word not in shared]
    return [
        row.name,
        row.state if isinstance(row, ListedRun) else _counts(row),
        short(best.row.score) if best is not None else "",
        best.metric if best is not None and has_score else "",
        str(best.row.step or "") if best is not None else "",
        ago(None if row.began is None or now is None else max(0.0, now - row.began)),
        duration(row.seconds),
        shlex.join(words),
        shown_path(row.path),
    ]


def _counts(sweep: ListedSweep) -> str:
    """Return "5/6 completed, 1 failed"; what has not begun is the rest.

    Of a sweep of which some runs were asked for alone "1 failed of 6".
    """
    counts = sweep.counts
    if not sweep.is_whole:
        told = ", ".join(f"{count} {state}" for state, count in counts.items())
        return f"{told} of {sweep.total}"
    parts = [f"{counts.pop('completed', 0)}/{sweep.total} completed"]
    counts.pop("queued", None)
    return ", ".join([*parts, *(f"{count} {state}" for state, count in counts.items())])


def _overrides(row: Row) -> Sequence[str]:
    return row.overrides if isinstance(row, ListedRun) else row.record.arguments


def _sentence(rows: Sequence[Row], found: Sequence[Listed], *, num_shown: int) -> str:
    runs = [run for row in rows for run in ([row] if isinstance(row, ListedRun) else row.runs)]
    num_sweeps = sum(isinstance(row, ListedSweep) for row in rows)
    if not runs:
        num_there = sum(len(e.runs) if isinstance(e, ListedSweep) else 1 for e in found)
        if not num_there:
            return "no runs here yet"
        return (
            f"none of {num_there} runs matches" if num_there > 1 else "the one run does not match"
        )
    counts = counts_of(run.row for run in runs)
    said = ", ".join(f"{count} {state}" for state, count in counts.items())
    sweeps = f", {num_sweeps} {'sweep' if num_sweeps == 1 else 'sweeps'}" if num_sweeps else ""
    more = len(rows) - num_shown
    rest = f"; {more} more rows without --limit" if more else ""
    return f"{_runs(len(runs))}{sweeps}: {said}{rest}"


def _runs(count: int) -> str:
    return f"{count} {'run' if count == 1 else 'runs'}"


def _names_of_scores(rows: Sequence[Row]) -> str:
    """Return the names of experiments that one order mixes: those judged by equal metrics."""
    bests = [best for row in rows if (best := best_run(row)) is not None and best.row.has_score]
    by_metric: dict[str, set[str]] = {}
    for best in bests:
        by_metric.setdefault(best.metric, set()).add(best.name)
    mixed = {name for names in by_metric.values() if len(names) > 1 for name in names}
    return escaped(" and ".join(sorted(mixed)))


def _plain(row: Row | Damaged) -> dict[str, Any]:
    """Return a row as JSON knows it: figures that are no numbers become null."""
    if isinstance(row, Damaged):
        return {"kind": "damaged", "path": str(row.path), "error": row.problem}
    best = best_run(row)
    plain: dict[str, Any] = {
        "kind": "run" if isinstance(row, ListedRun) else "sweep",
        "name": row.name,
        "path": str(row.path),
        "score": None if best is None else _finite(best.row.score),
        "metric": None if best is None else best.metric,
        "mode": None if best is None else best.mode,
        "step": None if best is None else best.row.step,
        "best_step": None if best is None else best.row.best_step,
        "began": row.began,
        "seconds": _finite(row.seconds),
    }
    if isinstance(row, ListedRun):
        told = {"state": row.state, "overrides": list(row.overrides), "error": row.row.error}
        return {**plain, **told, "where": row.row.where or None, "why": row.row.why or None}
    number = None if best is None else best.row.number
    told = {"counts": row.counts, "total": row.total, "is_running": row.is_running}
    return {**plain, **told, "best_run": number}


def _finite(figure: float | None) -> float | None:
    return figure if figure is not None and math.isfinite(figure) else None

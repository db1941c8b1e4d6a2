"""`clean`: free the disk of checkpoints that nobody needs any more."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.checkpoint.strip import OVER, all_of, leftovers, size_of, strip, sweep_up
from runner.cli.columns import table, width_of
from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.sweeps.directory import SweepDirectory, is_sweep
from runner.sweeps.retention import runs_to_strip
from runner.sweeps.summary import RunRow, run_row, summarize


@dataclass(frozen=True, kw_only=True)
class _Deletion:
    """What is to go of one run, and how."""

    row: RunRow
    what: str
    size: int
    act: Callable[[RunDirectory], int]


def clean(path: Path, *, keep_best: int, is_agreed: bool) -> None:
    """Delete what `path`, a sweep or a run, does not need; asks first unless `is_agreed`."""
    rows, mode = _runs(path)
    deletions = _planned(rows, keep_best, mode)
    if not deletions:
        print("there is nothing to delete")
        return
    _print_plan(deletions)
    if not is_agreed and not _asked():
        print("nothing was deleted")
        return
    print(f"freed {gib(sum(_act(deletion) for deletion in deletions))}")


def _act(deletion: _Deletion) -> int:
    path = deletion.row.path
    try:
        size = deletion.act(RunDirectory(path))
    except OSError as error:
        raise RunError(f"{path} cannot be cleaned, and what comes after it was not: {error}") from (
            error
        )
    if not size:
        print(f"{path} is left alone: somebody works on it")
    return size


def gib(size: int) -> str:
    """Return a size for people: "1.23 GiB", "4.5 MiB", "120 bytes"."""
    for power, unit, digits in ((30, "GiB", 2), (20, "MiB", 1), (10, "KiB", 1)):
        if size >= 1 << power:
            return f"{size / (1 << power):.{digits}f} {unit}"
    return f"{size} bytes"


def _runs(path: Path) -> tuple[list[RunRow], str]:
    if is_sweep(path):
        summary = summarize(SweepDirectory(path))
        return list(summary.rows), summary.record.best_mode
    directory = RunDirectory(path)
    if not directory.provenance.is_file():
        raise RunError(
            f"{path} is neither a sweep (it has no sweep.json) nor a run (no run.json), "
            "so nothing in it is deleted"
        )
    return [run_row(directory)], "min"


def _planned(rows: list[RunRow], keep_best: int, mode: str) -> list[_Deletion]:
    doomed = set(runs_to_strip(rows, keep_best, mode))
    deletions: list[_Deletion] = []
    for row in rows:
        root = RunDirectory(row.path).checkpoints
        if row.state not in OVER or not root.is_dir():
            continue
        if row.number in doomed:
            size, what, act = size_of(all_of(root)), "checkpoints", strip
        else:
            size, what, act = size_of(leftovers(root)), "leftovers", sweep_up
        if size:
            deletions.append(_Deletion(row=row, what=what, size=size, act=act))
    return deletions


def _print_plan(deletions: list[_Deletion]) -> None:
    header = ["run", "state", "score", "what goes", "size", "overrides"]
    cells = [
        [
            str(deletion.row.number) if deletion.row.label else deletion.row.path.name,
            deletion.row.state,
            "" if deletion.row.score is None else f"{deletion.row.score:.4g}",
            deletion.what,
            gib(deletion.size),
            deletion.row.label,
        ]
        for deletion in deletions
    ]
    for line in table(header, cells, left=("state", "what goes", "overrides"), width=width_of()):
        print(line)
    total = sum(deletion.size for deletion in deletions)
    runs = "1 run" if len(deletions) == 1 else f"{len(deletions)} runs"
    print(f"\n{gib(total)} of {runs}")


def _asked() -> bool:
    """Ask on a terminal; RunError elsewhere, where nobody can answer."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RunError("nothing was deleted: there is no terminal to ask on, so say --yes")
    return input("delete them? [y/N] ").strip().lower() in ("y", "yes")

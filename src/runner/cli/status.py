"""`status`: how the runs of a sweep stand, or one run."""

import json
import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.cli.columns import colored, table, width_of
from runner.cli.terminal_text import escaped
from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.sweeps.directory import SweepDirectory, is_sweep
from runner.sweeps.slurm.standing import Standing, book_of, standing_of
from runner.sweeps.summary import RunRow, SweepSummary, log_of, run_row, summarize
from runner.training.callbacks.console_view import duration, short

_MOST_REASONS = 10  # more are told by --failed
_RESUMABLE = ("preempted", "lost", "cancelled", "failed")  # a run that has begun
_UNFINISHED = ("queued", "preempted", "lost", "cancelled", "failed")


def status(path: Path, *, as_json: bool, only_failed: bool) -> None:
    """Print a row for each run in `path`, which is a sweep or a run; RunError for neither."""
    book, number = book_of(path)
    # Before the files are read: a job that ends in between has left its last word in them.
    standing = standing_of(book, None if number is None else [number])
    summary, metric = None, ""
    if is_sweep(path):
        summary = _seen(summarize(SweepDirectory(path)), standing)
        rows, metric = list(summary.rows), summary.record.best_metric
    elif (directory := RunDirectory(path)).provenance.is_file() or directory.slurm.is_file():
        from runner.config.written import read_config

        config = read_config(directory.config) if directory.config.is_file() else {}
        trainer = config.get("trainer")
        metric = str(trainer.get("best_metric") or "") if isinstance(trainer, dict) else ""
        row = run_row(directory, number=number or 0, config=config)
        rows = standing.seen([row]) if standing else [row]
    else:
        raise RunError(
            f"{path} is neither a sweep (it has no sweep.json) nor a run (no run.json): name the "
            "folder of one, such as outputs/NAME/sweeps/SWEEP or outputs/NAME/DATE_TIME_ID"
        )
    shown = [row for row in rows if row.state == "failed"] if only_failed else rows
    if as_json:
        for row in shown:
            print(json.dumps(_plain(row), ensure_ascii=False, allow_nan=False))
        return
    _print_table(shown, metric, is_sweep=summary is not None)
    _print_waiting(shown)
    _print_reasons(shown, most=None if only_failed else _MOST_REASONS)
    gap = "\n" if shown else ""
    if standing is not None and standing.problem is not None:
        why = f"since Slurm could not be asked: {standing.problem}"
        print(f"{gap}states are those of the files, {why}")
        gap = ""
    if summary is not None:
        print(f"{gap}{escaped(sentence(summary))}")
        _print_way_on(summary, standing)
    elif shown and shown[0].state in _RESUMABLE:
        is_lost = shown[0].step > 0 and not RunDirectory(path).committed
        way = "no checkpoint was saved; to begin again" if is_lost else "to go on"
        print(f"{gap}{way}: python -m runner resume {escaped(shlex.quote(_shown(path)))}")


def _seen(summary: SweepSummary, standing: Standing | None) -> SweepSummary:
    return replace(summary, rows=standing.seen(summary.rows)) if standing else summary


def sentence(summary: SweepSummary) -> str:
    """Return the standing of a sweep in one line: counts by state, and the best run."""
    counts = [f"{count} {state}" for state, count in summary.counts.items()]
    if summary.num_to_come:
        counts.append(f"{summary.num_to_come} to come")
    total = max(len(summary.rows), summary.record.total or 0)
    text = f"{total} {'run' if total == 1 else 'runs'}: {', '.join(counts) or 'none yet'}"
    if (best := summary.best) is not None:
        verb = "is" if best.state == "completed" else "so far is"
        text += (
            f"; best {summary.record.best_metric}={short(best.score)} {verb} run {best.number}"
            f"{f' ({best.label})' if best.label else ''}"
        )
    return text


def _print_table(rows: Sequence[RunRow], metric: str, *, is_sweep: bool) -> None:
    if not rows:
        return
    header = ["run", "state", "job", "where", "step", metric or "score", "best at", "jobs", "left"]
    header += ["changed", "overrides" if is_sweep else "directory"]
    has_jobs = any(row.job for row in rows)
    kept = [has_jobs or i not in (2, 3) for i in range(len(header))]
    kept[0] = is_sweep
    header, *cells = (
        [cell for cell, is_kept in zip(line, kept, strict=True) if is_kept]
        for line in (header, *(_cells(row, is_sweep=is_sweep) for row in rows))
    )
    left = ("state", "job", "where", "overrides", "directory")
    lines = table(header, cells, left=left, width=width_of())
    print(lines[0])
    for row, line in zip(rows, lines[1:], strict=True):
        print(colored(line, row.state))


def _cells(row: RunRow, *, is_sweep: bool) -> list[str]:
    is_under_way = row.state not in ("completed", "pruned") and row.planned_steps is not None
    of = f"/{row.planned_steps}" if is_under_way else ""
    return [
        str(row.number),
        row.state,
        row.job or "",
        row.where,
        f"{row.step}{of}",
        short(row.score),
        "" if row.best_step is None else str(row.best_step),
        str(row.jobs or ""),
        duration(row.seconds_left),
        ago(row.age_seconds),
        row.label if is_sweep else row.path.name,
    ]


def ago(seconds: float | None) -> str:
    """Return how long ago, in the largest unit that says enough: "40 s", "12 min", "3 h", "9 d"."""
    if seconds is None:
        return ""
    for unit, size, limit in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < limit * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def _print_waiting(rows: Sequence[RunRow]) -> None:
    """Say, once for all of them, why jobs are not at work."""
    reasons = Counter(row.why for row in rows if row.state == "queued" and row.why)
    if reasons:
        print()
    for reason, count in reasons.items():
        print(f"{count} {'run' if count == 1 else 'runs'} {reason}")


def _print_reasons(rows: Sequence[RunRow], *, most: int | None) -> None:
    reasons = [(row, reason) for row in rows if (reason := _reason(row))]
    if reasons:
        print()
    for row, reason in reasons[:most]:
        number = f"run {row.number} " if row.label else ""
        print(escaped(f"{number}{row.state}: {reason}"))
        if log := log_of(row.path):
            print(escaped(f"  {_shown(log)}"))
    if most is not None and len(reasons) > most:
        print(f"... and {len(reasons) - most} more: --failed shows all that failed")


def _shown(path: Path) -> str:
    """Return a path from here if it lies below the current folder, else from the root."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else path)


def _reason(row: RunRow) -> str | None:
    if row.error:
        return row.error.splitlines()[0]
    if row.why and row.state != "queued":
        return row.why
    if row.state == "lost":
        return "its process is gone, killed or with its machine; it continues where it saved last"
    if row.is_silent:
        return f"no sign of life for {ago(row.age_seconds)}: its machine may be gone"
    return "it failed without a word" if row.state == "failed" else None


def _print_way_on(summary: SweepSummary, standing: Standing | None) -> None:
    if summary.is_running:
        print("the sweep is running")
        return
    is_open = any(state in summary.counts for state in _UNFINISHED) or summary.num_to_come
    path = shlex.quote(str(summary.directory.path))
    if standing is not None and standing.num_alive:
        print(
            f"nobody watches it, its jobs go on; to watch: python -m runner resume {path}; "
            f"to end them: python -m runner cancel {path}"
        )
    elif is_open and summary.record.starts:
        print(f"it is not running; to go on: python -m runner resume {path}")


def _plain(row: RunRow) -> dict[str, Any]:
    """Return a row as JSON knows it: figures that are no numbers become null."""
    log = log_of(row.path) if row.state in ("failed", "lost") else None
    figures = (row.score, row.age_seconds, row.seconds_left)
    score, age, left = (_finite(figure) for figure in figures)
    return {
        "number": row.number,
        "overrides": dict(row.overrides),
        "state": row.state,
        "step": row.step,
        "planned_steps": row.planned_steps,
        "score": score,
        "best_step": row.best_step,
        "jobs": row.jobs,
        "error": row.error,
        "age_seconds": age,
        "seconds_left": left,
        "job": row.job,
        "where": row.where or None,
        "why": row.why or None,
        "path": str(row.path),
        "log": None if log is None else str(log),
    }


def _finite(figure: float | None) -> float | None:
    return figure if figure is not None and math.isfinite(figure) else None


def print_sweep(summary: SweepSummary) -> None:
    """Print a sweep that has ended: a row for each run, the reasons of failures, the counts."""
    _print_table(list(summary.rows), summary.record.best_metric, is_sweep=True)
    _print_reasons(list(summary.rows), most=_MOST_REASONS)
    print(f"\n{escaped(sentence(summary))}")

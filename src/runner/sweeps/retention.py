"""Which runs of a sweep keep their checkpoints: a pure function, and its use on a sweep."""

from collections.abc import Callable, Iterable

from runner.run.directory import RunDirectory
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.summary import RunRow, ranked, summarize


def runs_to_strip(rows: Iterable[RunRow], keep_best: int, mode: str) -> list[int]:
    """Return the numbers of the runs that lose their checkpoints, in ascending order.

    These are the completed runs outside the `keep_best` best (`mode` min or max; of equal ones the
    first stays, one without a score is worse than any), and the pruned ones. What is unfinished or
    failed needs its checkpoints to go on. Where no completed run has a score nothing can be told
    about them, and all stay; also with no `mode` (""), where runs are judged by several metrics.
    """
    rows = list(rows)
    completed = [row for row in rows if row.state == "completed"]
    scored = ranked(completed, mode=mode)
    unscored = sorted(row.number for row in completed if not row.has_score)
    order = [row.number for row in scored] + unscored
    can_tell = bool(scored and mode) or keep_best == 0
    doomed = order[keep_best:] if can_tell else []
    return sorted(doomed + [row.number for row in rows if row.state == "pruned"])


def strip_runs(
    directory: SweepDirectory, *, keep_best: int, strip: Callable[[RunDirectory], object]
) -> list[int]:
    """Let `strip` delete the checkpoints of the runs outside the best; return their numbers.

    Called after each completed run of a sweep with `sweep.keep_best`; those that have none are
    left out.
    """
    summary = summarize(directory)
    doomed = [
        number
        for number in runs_to_strip(summary.rows, keep_best, summary.record.best_mode)
        if directory.job(number).checkpoints.exists()
    ]
    for number in doomed:
        strip(directory.job(number))
    return doomed

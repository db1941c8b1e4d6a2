"""What a run is worth to a search, read from the run's own files."""

import math
from collections.abc import Mapping, Sequence

from runner.run.directory import RunDirectory
from runner.run.journal import Row, read_journal
from runner.run.status import Status


def values_of(
    directory: RunDirectory, status: Status, objectives: Mapping[str, str]
) -> list[float] | None:
    """Return the value of each of `objectives` of a completed run; None if one is no number.

    Without objectives it is the run's score: the best value of trainer.best_metric. Objectives are
    those of the weights that stay: of the last row of their split up to the best step. A split that
    has none up to there, as `test` at the end, counts with its last row.
    """
    if not objectives:
        values = [status.score]
    else:
        rows = read_journal(directory.journal)
        values = [_value_at(rows, name, status.best_step) for name in objectives]
    numbers = [value for value in values if value is not None and not math.isnan(value)]
    return numbers if len(numbers) == len(values) else None


def scores_of(directory: RunDirectory, metric: str) -> dict[int, float]:
    """Return the values of a metric of evaluations by their number, the first being 1."""
    _, _, name = metric.partition(".")
    rows = (row for row in read_journal(directory.journal) if row.split == "evaluation")
    return {number: row.values[name] for number, row in enumerate(rows, 1) if name in row.values}


def _value_at(rows: Sequence[Row], name: str, step: int | None) -> float | None:
    split, _, metric = name.partition(".")
    found = [row for row in rows if row.split == split and metric in row.values]
    early = [row for row in found if step is None or row.step <= step]
    row = max(early or found, key=lambda row: row.step, default=None)
    return row.values[metric] if row is not None else None

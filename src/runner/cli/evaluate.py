"""`evaluate`: the metrics of a trained run on a split, told as a table and kept beside the run."""

import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.build.trained.evaluating import Asked, Evaluated, evaluate_run
from runner.cli.columns import table, width_of
from runner.cli.progress_line import progress_line
from runner.cli.stopping import stoppable
from runner.cli.syncing.runs import Feeding, sync_evaluations
from runner.config.trust import NOBODY_ELSE, Trust
from runner.errors import RunError, RunnerError
from runner.inference.evaluate import Judged
from runner.inference.rows import write_rows
from runner.run.directory import RunDirectory
from runner.run.evaluations import PREDICTIONS, RECORD
from runner.run.journal import read_journal
from runner.run.signature import refuse_stranger
from runner.run.status import read_status
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.training.callbacks.console_view import short

_PATIENCE = 10.0  # seconds


def evaluate(
    path: Path,
    overrides: Sequence[str],
    *,
    split: str | None,
    step: int | None,
    name: str | None,
    device: str | None,
    as_json: bool,
    to: Path | None = None,
    trust: Trust = NOBODY_ELSE,
) -> None:
    """Evaluate, print the metrics, and deliver them to MLflow if the run is shown there.

    Results that cannot be kept are printed, too; RunError then says why.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    placed = [] if device is None else [f"hardware.device={device}"]
    asked = Asked(
        path=path,
        split=split,
        step=step,
        name=name,
        overrides=[*overrides, *placed],
        trust=trust,
        to=to,
    )
    with stoppable("no results are kept"), progress_line() as tell:
        done = evaluate_run(replace(asked, tell=tell))
    if as_json:
        values = {metric: _plain(value) for metric, value in done.evaluation.values.items()}
        print(json.dumps(values))
    else:
        _print(path, done)
    if done.problem:
        raise RunError(f"the results are not kept: {done.problem}")
    if done.is_new and to is None:
        with stoppable("the results are kept; sync delivers them to MLflow"):
            deliver(RunDirectory(path), trust)


def _print(path: Path, done: Evaluated) -> None:
    evaluation = done.evaluation
    count = evaluation.num_samples
    samples = "" if count is None else f"{count:,} samples, "
    print(f"{evaluation.split}: {samples}weights of step {evaluation.step}, on {done.device}")
    in_training: dict[str, float] = {}
    if not evaluation.overrides:  # what was asked otherwise is not to be compared
        in_training = _in_training(path, evaluation.split, evaluation.step)
    rows = [
        [metric, short(value), short(in_training[metric]) if metric in in_training else ""]
        for metric, value in evaluation.values.items()
    ]
    header = ["metric", "value", "in training"]
    if not in_training:
        header, rows = header[:2], [row[:2] for row in rows]
    print("\n".join(table(header, rows, left=["metric"], width=width_of())))
    _print_worst(evaluation.num_wrong, count, done.worst)
    if done.problem:
        return
    kept = PREDICTIONS if (done.folder / PREDICTIONS).is_file() else RECORD
    note = "" if done.is_new else " (the same as before)"
    print(f"results: {done.folder / kept}{note}")


def _print_worst(num_wrong: int | None, count: int | None, worst: Sequence[Judged]) -> None:
    if num_wrong is None:
        return
    most = ", the most confident first" if len(worst) > 1 else ""
    if num_wrong > len(worst):
        most = f"; the {len(worst)} most confident"
    print(f"wrong: {num_wrong:,} of {count:,}{most}{':' if worst else ''}")
    rows = (
        {
            "sample": judged.sample,
            "target": judged.target,
            "text": judged.text,
            "confidence": judged.confidence,
        }
        for judged in worst
    )
    write_rows(rows, "table", sys.stdout)


def _in_training(path: Path, split: str, step: int) -> dict[str, float]:
    """Return what the run itself has measured of these weights on this split, if it has.

    Its test is made once, at the end, of the best weights.
    """
    own = split.partition(".")[0]
    rows = [row for row in read_journal(RunDirectory(path).journal) if row.split == own]
    if own == "test":
        status = read_status(RunDirectory(path))
        rows = rows[-1:] if status is not None and status.best_step in (None, step) else []
    else:
        rows = [row for row in rows if row.step == step]
    prefix = split.partition(".")[2]
    values = rows[-1].values if rows else {}
    if not prefix:
        return dict(values)
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in values.items()
        if name.startswith(f"{prefix}.")
    }


class _Hurried(Feeding):
    """Waits no longer for a server than somebody who has the results on his screen."""

    def mlflow(self, trackers: Mapping[str, Any]) -> dict[str, MLflowTracker]:
        """Return what `Feeding` does, each with less patience."""
        return {name: each.within(_PATIENCE) for name, each in super().mlflow(trackers).items()}


def deliver(directory: RunDirectory, trust: Trust) -> None:
    """Show it in MLflow; what fails there is told in a line, and `sync` delivers it later.

    A model that was exported is shown nowhere.
    """
    if not directory.provenance.is_file():
        return
    try:
        refuse_stranger(directory, trust, to="sync")
        for synced in sync_evaluations(directory, _Hurried(None)):
            if synced.problem or synced.note:
                print(f"{synced.place}: {synced.problem or synced.note}", file=sys.stderr)
    except (RunnerError, OSError, ValueError, LookupError) as error:
        print(f"not delivered to MLflow: {error} (later: sync)", file=sys.stderr)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None

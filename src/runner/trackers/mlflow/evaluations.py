"""Deliver what was evaluated after the training: `evaluations/NAME` of a run, each once.

The metrics are called "evaluations/NAME/METRIC", so that none is mixed with what the run logged
itself; the files lie in the folder of that name. evaluation.json goes last: once it is there, all
is.
"""

from pathlib import Path
from typing import Protocol

from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.evaluations import RECORD, Evaluation, read_evaluation
from runner.run.journal import Row
from runner.trackers.mlflow.mark import Mark, stamp_of_file
from runner.trackers.mlflow.store import MLflowStore

FOLDER = "evaluations"


class StoreFile(Protocol):
    """Stores a file of the run in a folder of its artifacts, unless it is there."""

    def __call__(self, path: Path, *, folder: str) -> None: ...


def new_evaluations(directory: RunDirectory, mark: Mark) -> list[Path]:
    """Return the folders of those that the server of `mark` does not have, oldest first."""
    records = sorted(directory.evaluations.glob(f"[!.]*/{RECORD}"), key=_time)
    return [path.parent for path in records if not _is_there(path, mark)]


def deliver_evaluations(
    directory: RunDirectory,
    mark: Mark,
    store: MLflowStore,
    store_file: StoreFile,
) -> None:
    """Store what is new; one whose record cannot be read waits until somebody has looked at it."""
    for folder in new_evaluations(directory, mark):
        try:
            evaluation = read_evaluation(folder)
        except RunError:
            continue
        assert mark.run_id is not None
        store.log(mark.run_id, [_row(evaluation, folder.name)], known={}, parameters={}, tags={})
        files = sorted(path for path in folder.iterdir() if path.is_file())
        for path in sorted(files, key=lambda path: path.name == RECORD):
            store_file(path, folder=f"{FOLDER}/{folder.name}")


def _row(evaluation: Evaluation, name: str) -> Row:
    return Row(
        step=evaluation.step,
        epoch=0.0,
        time=evaluation.time,
        split=f"{FOLDER}/{name}",
        values=evaluation.values,
    )


def _is_there(record: Path, mark: Mark) -> bool:
    name = f"{FOLDER}/{record.parent.name}/{record.name}"
    return mark.artifacts.get(name) == stamp_of_file(record)


def _time(path: Path) -> int:
    return path.stat().st_mtime_ns

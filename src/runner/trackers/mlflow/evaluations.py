"""Deliver what was evaluated after the training: `evaluations/NAME` of a run, each once.

The metrics are called "evaluations/NAME/METRIC", so that none is mixed with what the run logged
itself; the files lie in the folder of that name. evaluation.json goes last: once it is there, all
is.
"""

import logging
from pathlib import Path
from typing import Protocol

from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.evaluations import RECORD, Evaluation, read_evaluation
from runner.run.journal import Row
from runner.trackers.mlflow.mark import Mark, stamp_of_file
from runner.trackers.mlflow.store import MLflowStore

FOLDER = "evaluations"

logger = logging.getLogger(__name__)


class StoreFile(Protocol):
    """Stores a file of the run in a folder of its artifacts, unless it is there."""

    def __call__(self, path: Path, *, folder: str) -> None: ...


def new_evaluations(directory: RunDirectory, mark: Mark) -> list[Path]:
    """Return the folders of those that the server of `mark` does not have, oldest first.

    One that cannot be read is not among them: nothing waits for it, see `unreadable`.
    """
    folders = _new(directory, mark)
    return [folder for folder in folders if isinstance(_read(folder), Evaluation)]


def unreadable(directory: RunDirectory, mark: Mark) -> list[str]:
    """Return why some of them are left out, a sentence for each."""
    found = [_read(folder) for folder in _new(directory, mark)]
    return [str(error) for error in found if isinstance(error, RunError)]


def deliver_evaluations(
    directory: RunDirectory,
    mark: Mark,
    store: MLflowStore,
    store_file: StoreFile,
) -> None:
    """Store what is new; one that fails hides no other, and is raised when all were tried."""
    for reason in unreadable(directory, mark):
        logger.warning("an evaluation is left out: %s", reason)
    failures: list[Exception] = []
    for folder in new_evaluations(directory, mark):
        try:
            _deliver(folder, mark, store, store_file)
        except Exception as error:
            logger.warning("the evaluation in %s was not delivered: %s", folder, error)
            failures.append(error)
    if failures:
        raise failures[0]


def _deliver(folder: Path, mark: Mark, store: MLflowStore, store_file: StoreFile) -> None:
    assert mark.run_id is not None
    row = _row(read_evaluation(folder), folder.name)
    store.log(mark.run_id, [row], known={}, parameters={}, tags={})
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in sorted(files, key=lambda path: path.name == RECORD):
        store_file(path, folder=f"{FOLDER}/{folder.name}")


def _new(directory: RunDirectory, mark: Mark) -> list[Path]:
    records = sorted(directory.evaluations.glob(f"[!.]*/{RECORD}"), key=_time)
    return [path.parent for path in records if not _is_there(path, mark)]


def _read(folder: Path) -> Evaluation | RunError:
    try:
        return read_evaluation(folder)
    except RunError as error:
        return error


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

"""An MLflow server or store as a delivery sees it: open a run, log rows and files, set the state.

Every call may be repeated: an equal metric (name, step, time, value), an equal parameter and a run
that was created before are stored once.
"""

import fcntl
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from runner.run.journal import Row
from runner.trackers.mlflow.limits import (
    MAX_METRICS_IN_BATCH,
    MAX_PARAMETERS_IN_BATCH,
    clean_key,
    clean_parameters,
    clean_tags,
)
from runner.trackers.mlflow.mark import Mark
from runner.trackers.mlflow.uri import sqlite_file

KEY_TAG = "runner.key"


class MLflowStore:
    """A connection; making one imports mlflow (1.5 s) and creates a SQLite store if need be."""

    def __init__(self, uri: str) -> None:
        from mlflow import MlflowClient

        database = sqlite_file(uri)
        if database is not None:
            _create_database(database, uri)
        self._client = MlflowClient(tracking_uri=uri)

    def open_experiment(self, name: str, *, artifact_location: str | None) -> str:
        """Return the id of the MLflow experiment `name`, created if there is none."""
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        try:
            return self._client.create_experiment(name, artifact_location=artifact_location)
        except MlflowException:
            found = self._client.get_experiment_by_name(name)  # another run was faster
            if found is None:
                raise
            return found.experiment_id

    def open_run(self, mark: Mark, *, name: str, started_ms: int, tags: Mapping[str, str]) -> str:
        """Set the run that `mark` belongs to running, created if there is none; return its id."""
        assert mark.experiment_id is not None
        run_id = self._find_run(mark)
        if run_id is not None:
            self._client.update_run(run_id, status="RUNNING")
            return run_id
        run = self._client.create_run(
            mark.experiment_id,
            start_time=started_ms,
            run_name=name,
            tags=clean_tags(dict(tags)) | {KEY_TAG: mark.key},
        )
        return run.info.run_id

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Store what is not there yet; a changed value, which MLflow refuses, becomes a tag."""
        from mlflow.entities import Param, RunTag

        wanted = clean_parameters(dict(parameters))
        there = self._client.get_run(run_id).data.params
        new = [Param(key, text) for key, text in wanted.items() if key not in there]
        for batch in _batches(new, size=MAX_PARAMETERS_IN_BATCH):
            self._client.log_batch(run_id, params=batch)
        changed = {key: text for key, text in wanted.items() if there.get(key, text) != text}
        tags = clean_tags({f"changed.{key}": text for key, text in changed.items()})
        for batch in _batches(list(tags.items()), size=MAX_PARAMETERS_IN_BATCH):
            self._client.log_batch(run_id, tags=[RunTag(key, text) for key, text in batch])

    def known_steps(self, run_id: str) -> dict[str, set[int]]:
        """Return the steps of which the run has a value, by metric."""
        names = self._client.get_run(run_id).data.metrics
        return {
            name: {metric.step for metric in self._client.get_metric_history(run_id, name)}
            for name in names
        }

    def log_rows(
        self, run_id: str, rows: Sequence[Row], *, known: Mapping[str, Collection[int]]
    ) -> None:
        """Store the values of `rows` as metrics "split/name", but for the `known` steps of each."""
        metrics = [
            metric
            for row in rows
            for metric in _metrics(row)
            if metric.step not in known.get(metric.key, ())
        ]
        for batch in _batches(metrics, size=MAX_METRICS_IN_BATCH):
            self._client.log_batch(run_id, metrics=batch)

    def log_file(self, run_id: str, file: Path, *, folder: str) -> None:
        """Store `file` among the run's artifacts, in `folder` ("" for the top)."""
        self._client.log_artifact(run_id, str(file), artifact_path=folder or None)

    def set_state(self, run_id: str, state: str) -> None:
        """End the run as FINISHED, FAILED or KILLED."""
        self._client.set_terminated(run_id, status=state)

    def _find_run(self, mark: Mark) -> str | None:
        """Return the run that an earlier delivery created, unless somebody deleted it."""
        from mlflow.exceptions import MlflowException

        if mark.run_id is None:
            found = self._client.search_runs(
                [str(mark.experiment_id)], f"tags.`{KEY_TAG}` = '{mark.key}'", max_results=1
            )
            return found[0].info.run_id if found else None
        try:
            run = self._client.get_run(mark.run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return run.info.run_id if run.info.lifecycle_stage == "active" else None


def _metrics(row: Row) -> list[Any]:
    from mlflow.entities import Metric

    milliseconds = int(row.time * 1000)
    return [
        Metric(clean_key(f"{row.split}/{name}"), value, milliseconds, row.step)
        for name, value in row.values.items()
    ]


def _batches(items: Sequence[Any], *, size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _create_database(database: Path, uri: str) -> None:
    """Let one process alone run the migrations of a fresh SQLite store; two at once collide."""
    from mlflow import MlflowClient

    database.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive_lock(database.with_name(database.name + ".lock")):
        if not _is_complete(database):
            MlflowClient(tracking_uri=uri).search_experiments(max_results=1)


def _is_complete(database: Path) -> bool:
    """Tell whether the default experiment is there, which MLflow writes last."""
    if not database.exists():
        return False
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        try:
            return connection.execute("SELECT COUNT(*) FROM experiments").fetchone()[0] > 0
        except sqlite3.OperationalError:
            return False


@contextmanager
def _exclusive_lock(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

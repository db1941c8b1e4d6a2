"""An MLflow server or store as a delivery sees it: open a run, log rows and files, set the state.

Every call may be repeated: an equal metric (name, step, time, value), an equal parameter and a run
that was created before are stored once.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from runner.run.journal import Row
from runner.trackers.mlflow.creation import create_store
from runner.trackers.mlflow.limits import (
    MAX_METRICS_IN_BATCH,
    MAX_PARAMETERS_IN_BATCH,
    MAX_TAGS_IN_BATCH,
    clean_key,
    clean_parameters,
    clean_tags,
)
from runner.trackers.mlflow.mark import Mark
from runner.trackers.mlflow.metric_names import metric_name
from runner.trackers.mlflow.uri import with_driver

KEY_TAG = "runner.key"
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # MLflow's pages for training
HOLDER_TAG = "runner.holder"  # see home.py


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run that is there already."""

    id: str
    parameters: Mapping[str, str]
    holder: str | None = None

    def news(self, wanted: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the parameters that are not there, and those that are there with other values."""
        there, clean = self.parameters, clean_parameters(wanted)
        new = {key: text for key, text in clean.items() if key not in there}
        changed = {key: text for key, text in clean.items() if there.get(key, text) != text}
        return new, changed


class MLflowStore:
    """A connection; making one imports mlflow (1.5 s), and creates a database's tables."""

    def __init__(self, uri: str) -> None:
        from mlflow import MlflowClient

        uri = with_driver(uri)
        create_store(uri)
        self._client = MlflowClient(tracking_uri=uri)
        self._experiments: dict[str, str] = {}

    def open_experiment(self, name: str, *, artifact_location: str | None) -> str:
        """Return the id of the MLflow experiment `name`, created if there is none."""
        if name not in self._experiments:
            self._experiments[name] = self._open_experiment(name, artifact_location)
        return self._experiments[name]

    def find_run(self, mark: Mark) -> StoredRun | None:
        """Return the run that an earlier delivery created, unless somebody deleted it."""
        run = self._get(mark.run_id) if mark.run_id else next(iter(self._search(mark)), None)
        if run is None or run.info.lifecycle_stage != "active":
            return None
        holder = run.data.tags.get(HOLDER_TAG)
        return StoredRun(id=run.info.run_id, parameters=run.data.params, holder=holder)

    def create_run(self, mark: Mark, *, name: str, started_ms: int, tags: Mapping[str, str]) -> str:
        """Create the run of `mark`, which is running, and return its id."""
        assert mark.experiment_id is not None
        run = self._client.create_run(
            mark.experiment_id,
            start_time=started_ms,
            run_name=name,
            tags=clean_tags(dict(tags)) | {KEY_TAG: mark.key},
        )
        return run.info.run_id

    @property
    def client(self) -> Any:
        """MLflow's own client, for what is no part of a run's rows."""
        return self._client

    def delete_doubles(self, mark: Mark) -> None:
        """Delete what else was created for `mark`, by a request that a slow server did late."""
        for run in self._search(mark, max_results=100):
            if run.info.run_id != mark.run_id:
                self._client.delete_run(run.info.run_id)

    def hold(self, run_id: str, holder: str) -> None:
        """Put on the run the word of the directory that goes on with it."""
        self._client.set_tag(run_id, HOLDER_TAG, holder)

    def set_running(self, run_id: str) -> None:
        """Set a run that had ended running again."""
        self._client.update_run(run_id, status="RUNNING")

    def known_steps(self, run_id: str) -> dict[str, set[int]]:
        """Return the steps of which the run has a value, by metric."""
        names = self._client.get_run(run_id).data.metrics
        return {
            name: {metric.step for metric in self._client.get_metric_history(run_id, name)}
            for name in names
        }

    def log(
        self,
        run_id: str,
        rows: Sequence[Row],
        *,
        known: Mapping[str, Collection[int]],
        parameters: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Store, in few calls, new `parameters`, `tags`, and the values of `rows`.

        These become metrics "split/name", but for the `known` steps of each.
        """
        from mlflow.entities import Param, RunTag

        metrics = [
            metric
            for row in rows
            for metric in _metrics(row)
            if metric.step not in known.get(metric.key, ())
        ]
        batches = zip_longest(
            _batches(metrics, size=MAX_METRICS_IN_BATCH),
            _batches(_entities(Param, clean_parameters(parameters)), size=MAX_PARAMETERS_IN_BATCH),
            _batches(_entities(RunTag, clean_tags(tags)), size=MAX_TAGS_IN_BATCH),
            fillvalue=[],
        )
        for some_metrics, some_parameters, some_tags in batches:
            self._client.log_batch(run_id, some_metrics, some_parameters, some_tags)

    def log_summary(
        self, run_id: str, summary: Mapping[str, float], *, at_ms: int, step: int = 0
    ) -> None:
        """Store metrics of one moment; of several summaries MLflow shows the latest."""
        from mlflow.entities import Metric

        if summary:
            metrics = [Metric(clean_key(key), value, at_ms, step) for key, value in summary.items()]
            self._client.log_batch(run_id, metrics)

    def log_file(self, run_id: str, file: Path, *, folder: str) -> None:
        """Store `file` among the run's artifacts, in `folder` ("" for the top)."""
        self._client.log_artifact(run_id, str(file), artifact_path=folder or None)

    def set_state(self, run_id: str, state: str, *, at_ms: int = 0) -> None:
        """End the run as FINISHED, FAILED or KILLED, `at_ms` or now; or say it is SCHEDULED."""
        if state == "SCHEDULED":
            self._client.update_run(run_id, status=state)
        else:
            self._client.set_terminated(run_id, status=state, end_time=at_ms or None)

    def _open_experiment(self, name: str, artifact_location: str | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        try:
            return self._client.create_experiment(
                name, artifact_location=artifact_location, tags=_KIND
            )
        except MlflowException:
            found = self._client.get_experiment_by_name(name)  # another run was faster
            if found is None:
                raise
            return found.experiment_id

    def _search(self, mark: Mark, *, max_results: int = 1) -> Sequence[Any]:
        return self._client.search_runs(
            [str(mark.experiment_id)], f"tags.`{KEY_TAG}` = '{mark.key}'", max_results=max_results
        )

    def _get(self, run_id: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None


def _metrics(row: Row) -> list[Any]:
    from mlflow.entities import Metric

    milliseconds = int(row.time * 1000)
    return [
        Metric(metric_name(row.split, name), value, milliseconds, row.step)
        for name, value in row.values.items()
    ]


def _entities(kind: Callable[[str, str], Any], texts: Mapping[str, str]) -> list[Any]:
    return [kind(key, text) for key, text in texts.items()]


def _batches(items: Sequence[Any], *, size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])

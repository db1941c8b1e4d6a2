"""The final model of a run as a model of MLflow, and as a version of a registered one.

Every call may be repeated, also after a kill at any place: a model is recognised by a tag, and so
is a version.
"""

import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.trackers.mlflow.metric_names import metric_name
from runner.trackers.mlflow.packaging import link_files, package_reader

NAME = "model"  # so that it is found at runs:/RUN_ID/model
STAMP_TAG = "runner.model"

logger = logging.getLogger(__name__)


def stamp_of_model(card: Mapping[str, Any]) -> str:
    """Return a text that is another one for other weights."""
    facts = [card["step"], card["weights"], card.get("run", {}).get("id")]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


class Models:
    """The models of one run on one server."""

    def __init__(self, client: Any, run_id: str, experiment_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._experiment_id = experiment_id

    def log(self, card: Mapping[str, Any], files: Sequence[str]) -> str:
        """Store the model that consists of `files`, unless it is there, and return its id.

        FileNotFoundError when a file is gone.
        """
        stamp = stamp_of_model(card)
        model = self._find(stamp) or self._client.create_logged_model(
            self._experiment_id,
            name=NAME,
            source_run_id=self._run_id,
            tags={STAMP_TAG: stamp},
            params={"step": str(card["step"])},
        )
        if model.status != "READY":
            try:
                self._upload(model, card, files)
            except FileNotFoundError:
                self._client.finalize_logged_model(model.model_id, "FAILED")
                raise
            self._client.finalize_logged_model(model.model_id, "READY")
        self._show(model.model_id, step=card["step"])
        self._score(model.model_id, card)
        return model.model_id

    def register(self, model_id: str, name: str, card: Mapping[str, Any]) -> str:
        """Return the version of the registered model `name` that the model is, or becomes now.

        Its description and tags say where it is from, and how good it was.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        mlflow.set_tracking_uri(self._client.tracking_uri)  # a SQL registry looks it up there
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        known = self._client.search_model_versions(f"run_id = '{self._run_id}'")
        for each in known:
            if each.name == name and each.tags.get(STAMP_TAG) == model_id:
                return str(each.version)
        version = self._client.create_model_version(
            name,
            f"models:/{model_id}",
            run_id=self._run_id,
            tags={STAMP_TAG: model_id, **_tags_of(card)},
            description=_description(card),
            model_id=model_id,
        )
        logger.info("registered model=%s version=%s", name, version.version)
        return str(version.version)

    def _find(self, stamp: str) -> Any:
        found = self._client.search_logged_models(
            [self._experiment_id],
            f"source_run_id = '{self._run_id}' AND tags.`{STAMP_TAG}` = '{stamp}'",
        )
        return found[0] if found else None

    def _upload(self, model: Any, card: Mapping[str, Any], files: Sequence[str]) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            if card.get("input") == "picture":
                about = {
                    "artifact_path": model.artifact_location,
                    "model_uuid": model.model_id,
                    "model_id": model.model_id,
                    "run_id": self._run_id,
                }
                package_reader(folder, files, card=card, about=about)
            else:
                link_files(folder, files)
            self._client.log_model_artifacts(model.model_id, str(folder))

    def _show(self, model_id: str, *, step: int) -> None:
        """List it among the outputs of the run; a store takes that once."""
        from mlflow.entities import LoggedModelOutput

        outputs = self._client.get_run(self._run_id).outputs
        known = [] if outputs is None else outputs.model_outputs
        if all(each.model_id != model_id for each in known):
            self._client.log_outputs(self._run_id, [LoggedModelOutput(model_id, step=step)])

    def _score(self, model_id: str, card: Mapping[str, Any]) -> None:
        """Tell that the score was that of this model; the run's own value stays one."""
        from mlflow.entities import Metric

        metric = (card.get("score") or {}).get("metric")
        if metric is None:
            return
        split, _, name = metric.partition(".")
        key = metric_name(split, name)
        values = self._client.get_metric_history(self._run_id, key)
        scores = [
            Metric(key, each.value, each.timestamp, each.step, model_id=model_id)
            for each in values
            if each.step == card["step"]
        ]
        if scores:
            self._client.log_batch(self._run_id, scores)


def _description(card: Mapping[str, Any]) -> str:
    score, run = card.get("score"), card.get("run") or {}
    measured = f", {score['metric']}={score['value']:.4g}" if score else ""
    return f"run {run.get('name', '')} {run.get('id', '')}, step {card['step']}{measured}"


def _tags_of(card: Mapping[str, Any]) -> dict[str, str]:
    """Return what a table of versions can be searched by."""
    score, run = card.get("score"), card.get("run") or {}
    tags = {"runner.step": str(card["step"]), "runner.id": str(run.get("id", ""))}
    return tags | ({score["metric"]: str(score["value"])} if score else {})

"""Tell what a run has trained: the card of its model. Needs no torch."""

from typing import Any

from runner.checkpoint.manifest import read_manifest, step_path, weight_names
from runner.config.targets import TARGET
from runner.config.written import read_config
from runner.run.directory import RunDirectory
from runner.run.journal import read_journal
from runner.run.model_card import ModelCard
from runner.run.provenance import read_provenance
from runner.run.status import read_raw_status

_PREDICTS = {  # of runner's own tasks; what a user's says is in its texts
    "CTC": "text",
    "SequenceToSequence": "text",
    "Classification": "label",
    "Distillation": "label",
    "Regression": "value",
    "Supervised": "value",
    "Autoencoder": "value",
    "Adversarial": "label",
}
_OF_LABELS = {"next_tokens": "text", "tokens": "text", "classes": "label", "values": "value"}


def model_card(directory: RunDirectory, step: int) -> ModelCard:
    """Return the card of the weights of `step` in a run directory; its files are not checked."""
    manifest = read_manifest(step_path(directory.checkpoints, step))
    provenance, config = read_provenance(directory.provenance), read_config(directory.config)
    names = weight_names(manifest)
    is_average = any(name.startswith("average") for name in names)
    return ModelCard(
        run={"id": provenance["id"], "name": provenance["name"]},
        step=step,
        score=_score(directory, config, step),
        weights={name: manifest.files[name].sha256 for name in names},
        tied=manifest.tied_average if is_average else manifest.tied,
        input="picture" if _reads_pictures(config) else "batch",
        predicts=_predicts(config.get("task")),
        versions=provenance.get("versions", {}),
    )


def _score(directory: RunDirectory, config: dict[str, Any], step: int) -> dict[str, Any] | None:
    metric = (config.get("trainer") or {}).get("best_metric")
    status = read_raw_status(directory.status)
    if not isinstance(metric, str) or status is None:
        return None
    if step == status.best_step:
        return None if status.score is None else {"metric": metric, "value": status.score}
    split, _, name = metric.partition(".")
    for row in reversed(read_journal(directory.journal)):
        if row.step == step and row.split == split and name in row.values:
            return {"metric": metric, "value": row.values[name]}
    return None


def _reads_pictures(config: dict[str, Any]) -> bool:
    return isinstance((config.get("data") or {}).get("preprocessor"), dict)


def _predicts(task: Any) -> str:
    target = str(task.get(TARGET, "")) if isinstance(task, dict) else ""
    if not target.startswith("runner."):
        return "other"
    if target.endswith(".HuggingFace"):
        return _OF_LABELS.get(str(task.get("labels")), "other")
    return _PREDICTS.get(target.rpartition(".")[2], "other")

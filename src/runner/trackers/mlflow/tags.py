"""The names under which MLflow's pages look for what runner's tags say."""

from collections.abc import Mapping

_NAMES = {
    "runner.user": "mlflow.user",
    "runner.program": "mlflow.source.name",
    "runner.commit": "mlflow.source.git.commit",
    "runner.uncommitted_changes": "mlflow.source.git.dirty",
}
STATE_TAG = "runner.state"
ERROR_TAG = "runner.error"


def with_mlflow_names(tags: Mapping[str, str]) -> dict[str, str]:
    """Return `tags`, and those of them again that fill columns: User, Source, Version."""
    known = {theirs: tags[ours] for ours, theirs in _NAMES.items() if ours in tags}
    source = {"mlflow.source.type": "LOCAL"} if "mlflow.source.name" in known else {}
    return {**tags, **known, **source}


def ending_tags(state: str, error: str | None) -> dict[str, str]:
    """Return how a run stands in runner's own word; of a failed one the first line of its error."""
    lines = (error or "").strip().splitlines()
    return {STATE_TAG: state, **({ERROR_TAG: lines[0]} if lines else {})}

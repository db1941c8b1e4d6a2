"""The data of a run as MLflow shows them: a dataset for each split, recognised by its fingerprint.

Two runs with the same digest have seen the same data, whatever their configs say.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from runner.run.data_note import read_data_note
from runner.trackers.mlflow.store import MLflowStore
from runner.trackers.parameters import flatten
from runner.trackers.tracker import TrackedRun

MAX_DIGEST_LENGTH = 36
MAX_SOURCE_LENGTH = 60_000  # of 65,535
_FOLDERS = ("root", "file")  # of the data nodes that read files


def datasets_of(run: TrackedRun) -> list[dict[str, str]]:
    """Return name, digest, source, profile and split of the data of `run`; none if unknown."""
    node = run.parameters.get("data")
    node = node if isinstance(node, Mapping) else {}
    kind, source = _source(node)
    return [
        {
            "name": str(node.get("_target_", run.name)).rpartition(".")[2],
            "digest": _digest(fingerprint),
            "source_type": kind,
            "source": json.dumps(source, ensure_ascii=False),
            "profile": json.dumps(_profile(fingerprint)),
            "split": split,
        }
        for split, fingerprint in read_data_note(run.directory.data).items()
    ]


def log_datasets(store: MLflowStore, run_id: str, datasets: Sequence[Mapping[str, str]]) -> None:
    """Show `datasets` as inputs of a run; what is there already stays once."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    if not datasets:
        return
    store.client.log_inputs(
        run_id,
        [
            DatasetInput(
                Dataset(
                    name=each["name"],
                    digest=each["digest"],
                    source_type=each["source_type"],
                    source=each["source"],
                    profile=each["profile"],
                ),
                [InputTag(MLFLOW_DATASET_CONTEXT, each["split"])],
            )
            for each in datasets
        ],
    )


def _source(node: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return where data come from, in MLflow's way: a folder, or else code and its arguments."""
    for key in _FOLDERS:
        if isinstance(path := node.get(key), str) and "${" not in path:
            return "local", {"uri": path}
    tags = flatten(node)
    if len(json.dumps(tags, ensure_ascii=False)) > MAX_SOURCE_LENGTH:
        tags = {"_target_": tags.get("_target_", "")}
    return "code", {"tags": tags}


def _digest(fingerprint: str) -> str:
    if len(fingerprint) <= MAX_DIGEST_LENGTH:
        return fingerprint
    return hashlib.blake2b(fingerprint.encode(), digest_size=8).hexdigest()


def _profile(fingerprint: str) -> dict[str, int]:
    """Return the number of samples, where the fingerprint begins with one."""
    extent = fingerprint.partition(":")[0]
    return {"num_rows": int(extent)} if extent.isdecimal() else {}

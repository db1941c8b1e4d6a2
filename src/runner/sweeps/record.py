"""`sweep.json`: what a sweep is, and every start of it."""

import json
import os
import socket
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from runner.config.trust import Trust
from runner.errors import RunError
from runner.files import write_json_atomically
from runner.run.secrets import redacted
from runner.run.signature import StrangerError, is_text_ours, text_signature
from runner.run.user import user_name
from runner.sweeps.directory import FORMAT_VERSION, SweepDirectory


@dataclass(kw_only=True)
class SweepRecord:
    """What a sweep is; the same from its first start on, but for `starts` and `total`."""

    key: str  # see identity.py
    name: str  # of the runs: the config key `name`
    swept: list[str]  # the keys that it varies, as in the config: "optimizer.lr", "model"
    base: dict[str, Any]  # the frozen base config
    kind: str = "grid"  # grid | random | optuna
    arguments: list[str] = field(default_factory=list)  # the overrides that define it
    confs: list[str] = field(default_factory=list)  # the user's config folders, strongest first
    best_metric: str = "evaluation.loss"  # "": the runs are judged by several
    best_mode: str = "min"
    objectives: dict[str, str] = field(default_factory=dict)  # of several: name -> min | max
    total: int | None = None  # runs that it has in all, done or not; None: not known
    options: dict[str, Any] = field(default_factory=dict)  # the node `sweep`
    sweeper: dict[str, Any] = field(default_factory=dict)  # the node `hydra.sweeper`
    launcher: dict[str, Any] = field(default_factory=dict)  # the node `hydra.launcher`
    starts: list[dict[str, Any]] = field(default_factory=list)  # see `start_entry`


def start_entry(*, command: list[str], code: dict[str, str | None]) -> dict[str, Any]:
    """Return what is known of one start of a sweep."""
    return {
        "command": [redacted(word) for word in command],
        "code": code,
        "host": socket.gethostname(),
        "user": user_name(),
        "pid": os.getpid(),
        "time": round(time.time(), 3),
    }


def read_record(directory: SweepDirectory) -> SweepRecord:
    """Return what the directory says; RunError for what is no sweep or of a newer format."""
    try:
        content = json.loads(directory.record.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{directory.path} is no sweep: {directory.record.name}: {error}") from error
    if not isinstance(content, dict):
        raise RunError(f"{directory.record} is damaged: it holds no mapping")
    content.pop("signature", None)
    version = content.pop("format_version", 0)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise RunError(
            f"{directory.path} has format {version}, this runner reads up to {FORMAT_VERSION}: "
            "use a newer runner"
        )
    try:
        return SweepRecord(**content)
    except TypeError as error:
        raise RunError(f"{directory.record} is damaged: {error}") from error


def write_record(directory: SweepDirectory, record: SweepRecord) -> None:
    """Replace sweep.json, signed by this user."""
    content = {"format_version": FORMAT_VERSION, **asdict(record)}
    signature = text_signature(_signed_text(content))
    write_json_atomically(directory.record, {**content, "signature": signature})


def is_ours(directory: SweepDirectory) -> bool:
    """Return whether this user wrote the sweep.json that is there."""
    try:
        content = json.loads(directory.record.read_text(encoding="utf-8"))
        signature = content.pop("signature", None)
    except (OSError, ValueError, AttributeError):
        return False
    return is_text_ours(_signed_text(content), signature)


def refuse_stranger(directory: SweepDirectory, trust: Trust, *, to: str) -> None:
    """Raise RunError unless this user began the sweep, or trusts all of it."""
    if not (trust.everything or is_ours(directory)):
        raise StrangerError(directory.path, trust, to=to)


def _signed_text(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True)

"""`run.json`: where a run comes from: command, code, versions, machine, and every job on it."""

import getpass
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from runner.errors import RunError
from runner.files import write_json_atomically
from runner.run.code_state import CodeState
from runner.run.directory import FORMAT_VERSION

_PACKAGES = ("runner", "torch", "numpy", "hydra-core", "omegaconf", "mlflow", "safetensors")


def first_provenance(*, name: str, id: str, code: CodeState) -> dict[str, Any]:
    """Return what is known of a run when it starts; its jobs come later."""
    return {
        "format_version": FORMAT_VERSION,
        "id": id,
        "name": name,
        "code": code,
        "versions": _versions(),
        "machine": _machine(),
        "jobs": [],
    }


def job_entry(
    *, command: list[str], overrides: list[str], code: CodeState | None = None
) -> dict[str, Any]:
    """Return what is known of one job when it starts; `code` if it is not that of the last.

    `from_step`, where the run stood when the job began to train it, comes later (`note_begin`).
    """
    entry = {
        "command": command,
        "overrides": overrides,
        "host": socket.gethostname(),
        "user": user_name(),
        "pid": os.getpid(),
        "time": round(time.time(), 3),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "slurm_restart": int(os.environ.get("SLURM_RESTART_COUNT", 0)),
        "from_step": None,
    }
    return entry if code is None else {**entry, "code": code}


def user_name() -> str | None:
    """Return who runs this process; None where the machine does not know."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run under a number alone
        return None


def note_begin(path: Path, *, step: int) -> None:
    """Write into run.json that its last job has begun to train, from `step` on."""
    provenance = read_provenance(path)
    provenance["jobs"][-1]["from_step"] = step
    write_provenance(path, provenance)


def code_of_last_job(provenance: Mapping[str, Any]) -> CodeState:
    """Return the state of the code with which the last job on the run was started."""
    states = [job["code"] for job in provenance["jobs"] if "code" in job]
    return states[-1] if states else provenance["code"]


def change_of_code(
    before: CodeState, now: CodeState, *, since: str = "the last job of this run"
) -> str | None:
    """Return a sentence about code that is not what it was, or None."""
    if before == now:
        return None
    return (
        f"THE CODE HAS CHANGED since {since}: it was "
        f"{_described(before)}; it is {_described(now)}. The run goes on with the new code, and "
        "what comes of it may be another result"
    )


def read_provenance(path: Path) -> dict[str, Any]:
    """Return the content of run.json; RunError for what is no run or of a newer format."""
    try:
        provenance = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path.parent} is no run directory: {path.name}: {error}") from error
    version = provenance.get("format_version", 0)
    if version > FORMAT_VERSION:
        raise RunError(
            f"{path.parent} has format {version}, this runner reads up to {FORMAT_VERSION}: "
            "use a newer runner"
        )
    return provenance


def write_provenance(path: Path, provenance: dict[str, Any]) -> None:
    """Replace run.json."""
    write_json_atomically(path, provenance)


def _described(code: CodeState) -> str:
    commit, diff = code["commit"], code["diff"]
    if commit is None:
        return "in no git repository"
    return (
        f"commit {commit[:12]} with an uncommitted diff of {len((diff or '').splitlines())} lines"
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "executable": sys.executable,
    }

"""`run.json`: where a run comes from: command, code, versions, machine, and every job on it."""

import json
import math
import os
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.errors import RunError
from runner.files import write_json_atomically
from runner.run.directory import FORMAT_VERSION
from runner.run.machine import (
    environment_facts,
    installed_packages,
    machine_facts,
    named_versions,
)
from runner.run.secrets import redacted, redacted_in
from runner.run.source.state import CodeState, code_and_source
from runner.run.user import user_name

# What a run is made of: written down when it starts, and for a later job where it is another.
FACTS = ("code", "source", "versions", "packages", "machine", "environment")


def facts_of_process() -> dict[str, Any]:
    """Return what this process is: its code, its software, its machine, under the names FACTS."""
    code, source = code_and_source()
    packages = installed_packages()
    return {
        "code": code,
        "source": redacted_in(source),
        "versions": named_versions(packages),
        "packages": packages,
        "machine": machine_facts(),
        "environment": redacted_in(environment_facts()),
    }


def first_provenance(*, name: str, id: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a run when it starts; its jobs come later."""
    return {"format_version": FORMAT_VERSION, "id": id, "name": name, **facts, "jobs": []}


def job_entry(
    *,
    command: list[str],
    overrides: list[str],
    changed: Mapping[str, Any] | None = None,
    config_before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what is known of one job when it starts.

    `changed` are the facts that are not those of the last job, `config_before` the keys of the
    config that it changed, as they were. `from_step`, where the run stood when the job began to
    train it, comes later (`note_begin`).
    """
    entry = {
        "command": [redacted(word) for word in command],
        "overrides": [redacted(text) for text in overrides],
        "host": socket.gethostname(),
        "user": user_name(),
        "pid": os.getpid(),
        "time": round(time.time(), 3),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "slurm_restart": int(os.environ.get("SLURM_RESTART_COUNT", 0)),
        "from_step": None,
        **(changed or {}),
    }
    return {**entry, "config_before": dict(config_before)} if config_before else entry


def note_begin(path: Path, *, step: int) -> None:
    """Write into run.json that its last job has begun to train, from `step` on."""
    provenance = read_provenance(path)
    provenance["jobs"][-1]["from_step"] = step
    write_provenance(path, provenance)


def code_of_last_job(provenance: Mapping[str, Any]) -> CodeState:
    """Return the state of the code with which the last job on the run was started."""
    return facts_of_last_job(provenance)["code"]


def facts_of_last_job(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the last job on the run was made of; a run of an early version knows less."""
    facts = {name: provenance[name] for name in FACTS if name in provenance}
    for job in provenance["jobs"]:
        facts |= {name: job[name] for name in FACTS if name in job}
    return facts


def signed_text(provenance: Mapping[str, Any]) -> str:
    """Return, as one text, what of run.json `reproduce` acts on; the same once it is written."""
    befores = [job["config_before"] for job in provenance["jobs"] if "config_before" in job]
    facts = {name: provenance[name] for name in FACTS if name in provenance}
    written = json.loads(json.dumps({**facts, "config_before": befores}))
    return json.dumps(written, sort_keys=True)


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
    if not isinstance(provenance, dict):
        raise RunError(f"{path} is damaged: it holds no mapping")
    for key in ("id", "name"):  # they become part of paths
        value = provenance.get(key, key)
        if not (isinstance(value, str) and re.fullmatch(r"[^/\\\0]+", value)):
            raise RunError(f"{path}: {key} must be the name of a file, got {provenance[key]!r}")
    version = provenance.get("format_version", 0)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise RunError(
            f"{path.parent} has format {version}, this runner reads up to {FORMAT_VERSION}: "
            "use a newer runner"
        )
    if (problem := _damage(provenance)) is not None:
        raise RunError(f"{path} is damaged: {problem}")
    return provenance


def _damage(provenance: Mapping[str, Any]) -> str | None:
    """Return what is not as runner writes it, of all that its readers take for granted."""
    jobs = provenance.get("jobs", [])
    if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        return "jobs is no list of mappings"
    for number, job in enumerate(jobs, start=1):
        began = job.get("time")
        if not isinstance(began, int | float) or not math.isfinite(began):
            return f"job {number} has no time"
        for key in ("command", "overrides"):
            words = job.get(key, [])
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                return f"{key} of job {number} is no list of words"
    codes = [each["code"] for each in (provenance, *jobs) if "code" in each]
    if not all(_is_code(code) for code in codes):
        return "code is no commit with its diff"
    return None


def _is_code(code: object) -> bool:
    """Return whether `code` has what every reader of a CodeState asks for."""
    if not isinstance(code, dict) or not {"commit", "diff"} <= code.keys():
        return False
    return all(isinstance(code[key], str | None) for key in ("commit", "diff"))


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

"""What every tracker is told of a run beside its config: who started it, where, from which code."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.run.directory import RunDirectory
from runner.run.provenance import code_of_last_job, read_provenance

_SAID = ("host", "user", "slurm_job")


def run_tags(directory: RunDirectory) -> dict[str, str]:
    """Return the tags of a run, of its last job as far as jobs differ; the same for all ways.

    A job, its sweep and `sync` tell the same. Raises RunError for what is no run.
    """
    provenance = read_provenance(directory.provenance)
    jobs = provenance["jobs"]
    code = code_of_last_job({"code": {}, **provenance})
    start = {**(jobs[-1] if jobs else {}), "code": code}
    return {"runner.id": provenance["id"], **start_tags(directory.path, start)}


def start_tags(path: Path, start: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of one start, of a job or a sweep, as it is written down, in `path`."""
    command, code = start.get("command") or [], start.get("code") or {}
    tags = {
        "runner.directory": str(path.absolute()),
        "runner.command": shlex.join(command),
        "runner.program": _program(command),
        **{f"runner.{name}": str(start[name]) for name in _SAID if start.get(name)},
    }
    if code.get("commit"):
        tags["runner.commit"] = str(code["commit"])
        tags["runner.uncommitted_changes"] = str(bool(code.get("diff"))).lower()
    return {name: text for name, text in tags.items() if text}


def _program(command: list[str]) -> str:
    """Return what was run: a module, or the name of a script."""
    words = command[1:] if command[:1] == ["python"] else command
    if words[:1] == ["-m"] and len(words) > 1:
        return words[1]
    return Path(words[0]).name if words else ""

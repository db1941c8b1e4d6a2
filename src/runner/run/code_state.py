"""The code that a job runs: commit and uncommitted diff.

A job that waits in a queue is told by RUNNER_CODE where the state of the code at its submission is
written down. If its modules come from a snapshot, that is what it runs, whatever the folder where
it was submitted holds by then; otherwise it runs what it finds there, and can tell the difference.
"""

import json
import logging
import os
import subprocess
from pathlib import Path

from runner.files import write_json_atomically
from runner.run.secrets import redacted

CodeState = dict[str, str | None]  # commit, and the text of the uncommitted diff

ENVIRONMENT_VARIABLE = "RUNNER_CODE"

_log = logging.getLogger(__name__)


def code_state(folder: Path) -> CodeState:
    """Return commit and uncommitted diff of the repository around `folder`; None without one.

    Secrets that the environment holds are stars in the diff.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    diff = commit and _git(folder, "diff", "HEAD")
    return {"commit": commit, "diff": diff and redacted(diff)}


def code_of_process() -> CodeState:
    """Return the state of the code that this process runs."""
    submitted, is_snapshot = _submission()
    if submitted is not None and is_snapshot:
        return submitted
    here = code_state(Path.cwd())
    # A node may have no git: then nothing is known but how it was.
    return submitted if submitted is not None and here["commit"] is None else here


def code_when_submitted() -> CodeState | None:
    """Return the state of the code when this job was submitted; None if it was in no queue."""
    return _submission()[0]


def write_submitted(path: Path, code: CodeState, *, is_snapshot: bool) -> None:
    """Write what a job will read that has `path` in RUNNER_CODE."""
    write_json_atomically(path, {"state": code, "is_snapshot": is_snapshot})


def _submission() -> tuple[CodeState | None, bool]:
    """Return the state at the submission, and whether the job's modules are those of then."""
    path = os.environ.get(ENVIRONMENT_VARIABLE)
    if not path:
        return None, False
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return content["state"], content["is_snapshot"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("the code at the submission is not known: %s: %s", path, error)
        return None, False


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None  # no git, no repository, no commit: then there is nothing to tell
    return done.stdout.strip()

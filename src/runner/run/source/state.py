"""The code that a job runs: commit and uncommitted diff, and where that lies.

A job that waits in a queue is told by RUNNER_CODE where the state of the code at its submission is
written down. If its modules come from a snapshot, that is what it runs, whatever the folder where
it was submitted holds by then; otherwise it runs what it finds there, and can tell the difference.
"""

import json
import logging
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from runner.files import write_json_atomically
from runner.run.source.repository import Repository, look_at_repository
from runner.run.source.shown_diff import without_secrets
from runner.run.source.untracked import tell_of_missing

CodeState = dict[str, str | None]  # commit, and the text of the uncommitted diff

ENVIRONMENT_VARIABLE = "RUNNER_CODE"

_log = logging.getLogger(__name__)


def code_state(folder: Path) -> CodeState:
    """Return commit and uncommitted diff of the repository around `folder`; None without one.

    Secrets are stars in the diff.
    """
    return _state(look_at_repository(folder))


def code_of_process() -> CodeState:
    """Return the state of the code that this process runs."""
    return code_and_source()[0]


def code_and_source() -> tuple[CodeState, dict[str, Any]]:
    """Return the state of the code that this process runs, and where that code comes from."""
    repository = look_at_repository(Path.cwd())
    submitted, is_snapshot = _submission()
    here = _state(repository)
    # A node may have no git: then nothing is known but how it was.
    is_then = submitted is not None and (is_snapshot or here["commit"] is None)
    return submitted if submitted is not None and is_then else here, _source(repository)


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


def _state(repository: Repository | None) -> CodeState:
    if repository is None:
        return {"commit": None, "diff": None}
    tell_of_missing(repository.not_kept)
    shown = without_secrets(repository.diff or "")
    if shown.broken:
        _log.warning(
            "%s stands in the code with the value of a secret environment variable, and lines "
            "around uncommitted changes have stars in its place: nobody will be able to reproduce "
            "this run; take the secret out of the code",
            ", ".join(shown.broken),
        )
    return {"commit": repository.commit, "diff": repository.diff and shown.text}


def _source(repository: Repository | None) -> dict[str, Any]:
    """Return where the code lies, and what is needed to find all of it in a copy."""
    if repository is None:
        return {"working_directory": str(Path.cwd()), "runner": runner_of_process()}
    root = repository.root.resolve()
    source: dict[str, Any] = {
        "repository": str(repository.root),
        "remote": repository.remote,
        "folder": repository.folder,
        "path": [str(place.relative_to(root)) for place in _search_path(root)],
        "left_out": dict(repository.left_out),
        "edited_submodules": list(repository.edited_submodules),
        "redacted": without_secrets(repository.diff or "").files,
    }
    if not _package().is_relative_to(root):  # else it is what `code` describes
        source["runner"] = runner_of_process()
    return source


def runner_of_process() -> dict[str, Any]:
    """Return which runner this is: a version and, of a checkout of its own, its commit."""
    try:
        facts: dict[str, Any] = {"version": version("runner")}
    except PackageNotFoundError:
        facts = {"version": None}
    own = None if "site-packages" in _package().parts else look_at_repository(_package())
    if own is None:
        return facts
    return {**facts, "repository": str(own.root), "commit": own.commit, "is_edited": own.diff != ""}


def _package() -> Path:
    return Path(sys.modules["runner"].__file__ or "").resolve().parent


def _search_path(root: Path) -> list[Path]:
    """Return the folders of the repository in which Python looks for modules, in that order."""
    places = (Path(entry or os.curdir).resolve() for entry in sys.path)
    inside = (place for place in places if place.is_relative_to(root) and place.is_dir())
    return [place for place in dict.fromkeys(inside) if "site-packages" not in place.parts]

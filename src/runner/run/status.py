"""`status.json`: in which state a run is; and `lost`, which only a reader can see."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from runner.errors import RunError
from runner.files import write_json_atomically
from runner.run.directory import RunDirectory
from runner.run.lease import is_held

STATES = ("queued", "running", "preempted", "failed", "cancelled", "pruned", "completed", "lost")
_TYPES = {  # as JSON gives them: true is no number
    "step": (int,),
    "jobs": (int,),
    "error": (str, type(None)),
    "score": (float, int, type(None)),
    "best_step": (int, type(None)),
}


@dataclass(frozen=True, kw_only=True)
class Status:
    """State of a run, the last step known, how many jobs worked on it, and why it failed."""

    state: str
    step: int = 0
    jobs: int = 0
    error: str | None = None
    score: float | None = None  # the best value of trainer.best_metric
    best_step: int | None = None


def read_status(directory: RunDirectory) -> Status | None:
    """Return the status as a reader should see it: `lost` if nobody is behind a `running`."""
    status = read_raw_status(directory.status)
    if status is not None and status.state == "running" and not is_held(directory.lease):
        return replace(status, state="lost")
    return status


def read_raw_status(path: Path) -> Status | None:
    """Return what `path` says, or None if there is no such file."""
    try:
        status = Status(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except RecursionError as error:
        raise RunError(f"{path} cannot be read: it is nested too deep") from error
    except (ValueError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    wrong = next((name for name, value in vars(status).items() if not _fits(name, value)), None)
    if wrong is not None:
        raise RunError(f"{path} cannot be read: {wrong} is {getattr(status, wrong)!r}")
    return status


def _fits(name: str, value: object) -> bool:
    """Return whether runner writes such a value under `name`."""
    if name == "state":
        return isinstance(value, str) and value in STATES
    return type(value) in _TYPES[name]


def write_status(path: Path, status: Status) -> None:
    """Replace the status file."""
    write_json_atomically(path, asdict(status))

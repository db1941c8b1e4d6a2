"""One job's hold on a run directory: lease, config, provenance, status, journal.

    with open_session(directory, ...) as session:
        ... train ...

On leaving, the status tells the truth: `completed`, `preempted` when interrupted, `failed` with the
reason on an exception. What a kill leaves is `running` without a lease, which readers see as
`lost`.
"""

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from runner.config.stamp import id_in
from runner.errors import Interrupted, RunError
from runner.files import write_text_atomically
from runner.run.directory import RunDirectory
from runner.run.journal import Journal
from runner.run.lease import Lease
from runner.run.provenance import (
    first_provenance,
    job_entry,
    read_provenance,
    write_provenance,
)
from runner.run.status import Status, read_raw_status, write_status

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class JobDescription:
    """What a session writes down about its job."""

    name: str
    config: dict[str, Any]  # frozen: what environment variables stand for is unresolved
    overrides: list[str]
    command: list[str]


class Session:
    """An open run directory; what `standing` returns goes into the status."""

    def __init__(self, directory: RunDirectory, id: str, status: Status) -> None:
        self.directory = directory
        self.id = id
        self.journal = Journal(directory.journal)
        self.standing: Callable[[], Mapping[str, Any]] = dict  # step, score and best_step, if known
        self._status = status

    def write_status(self, state: str | None = None, error: str | None = None) -> None:
        """Write the status as it is now, in a new `state` if one is given."""
        state = state or self._status.state
        self._status = replace(self._status, state=state, error=error, **self.standing())
        write_status(self.directory.status, self._status)


@contextmanager
def open_session(
    directory: RunDirectory, job: JobDescription, *, continue_completed: bool = False
) -> Iterator[Session]:
    """Take the directory for one job; RunError if it is in use, or holds a finished run."""
    directory.path.mkdir(parents=True, exist_ok=True)
    sessions: list[Session] = []
    lease = Lease(directory.lease, on_beat=lambda: sessions[0].write_status() if sessions else None)
    lease.acquire()
    try:
        before = read_raw_status(directory.status)
        if before is not None and before.state == "completed" and not continue_completed:
            raise RunError(
                f"{directory.path} holds a finished run, which is never overwritten: use another "
                "directory, or train it longer: runner resume DIR trainer.max_steps=..."
            )
        session = _begin(directory, job, before or Status(state="running"))
        session.write_status("running")
        sessions.append(session)
    except BaseException:
        lease.release()
        raise
    state, error = "failed", None
    try:
        yield session
        state = "completed"
    except Interrupted:
        state = "preempted"
        raise
    except KeyboardInterrupt:
        state = "cancelled"
        raise
    except BaseException as failure:
        error = f"{type(failure).__name__}: {failure}"
        _log.debug("%s", traceback.format_exc())
        raise
    finally:
        session.journal.close()
        lease.stop_beating()  # it would write `running` over the final status
        session.write_status(state, error)
        lease.release()


def _begin(directory: RunDirectory, job: JobDescription, before: Status) -> Session:
    """Write config and provenance; a directory that has them keeps its id."""
    if directory.provenance.exists():
        provenance = read_provenance(directory.provenance)
    else:
        provenance = first_provenance(name=job.name, id=id_in(directory.path.name))
    provenance["jobs"].append(job_entry(command=job.command, overrides=job.overrides))
    write_text_atomically(
        directory.config, yaml.safe_dump(job.config, sort_keys=False, allow_unicode=True)
    )
    write_provenance(directory.provenance, provenance)
    return Session(directory, provenance["id"], replace(before, jobs=before.jobs + 1))


def read_config(path: Path) -> dict[str, Any]:
    """Return the frozen config of a run, unresolved."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RunError(f"{path.parent} is no run directory: {path.name}: {error}") from error

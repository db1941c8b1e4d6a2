"""One job's hold on a run directory: lease, config, provenance, status, journal.

    with open_session(directory, ...) as session:
        ... train ...

On leaving, the status tells the truth: `completed` (or what the job made its `outcome`, as
`pruned`), `preempted` when interrupted, `failed` with the
reason on an exception; a job that lost its lease to another leaves the status to that one. What a
kill leaves is `running` without a lease, which readers see as `lost`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.config.layout import differing_keys, leaves
from runner.config.stamp import id_in
from runner.config.written import read_config, to_yaml
from runner.errors import ConfigError, DataError, Interrupted, RunError, RunnerError
from runner.files import write_text_atomically
from runner.run.directory import RunDirectory
from runner.run.journal import Journal
from runner.run.lease import Lease
from runner.run.provenance import (
    change_of_code,
    code_of_last_job,
    facts_of_last_job,
    facts_of_process,
    first_provenance,
    job_entry,
    note_begin,
    read_provenance,
    signed_text,
    write_provenance,
)
from runner.run.secrets import redacted
from runner.run.signature import are_facts_ours, sign
from runner.run.source.state import code_when_submitted
from runner.run.status import Status, read_raw_status, write_status
from runner.run.taking_back import is_untouched, take_back_files, take_back_folder
from runner.runtime.signals import StopRequests

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class JobDescription:
    """What a session writes down about its job."""

    name: str
    config: dict[str, Any]  # frozen: what environment variables stand for is unresolved
    overrides: list[str]
    command: list[str]


class Session:
    """An open run directory; what `standing` returns goes into the status.

    `give_up` ends it with an error from any thread, for a process that is about to be ended. Until
    `begin`, a job that is refused leaves a run that was there as it was, and for a mistake of the
    config or the data no new one.
    """

    def __init__(self, directory: RunDirectory, id: str, status: Status, journal: Journal) -> None:
        self.directory = directory
        self.id = id
        self.journal = journal
        self.standing: Callable[[], Mapping[str, Any]] = dict  # step, score and best_step, if known
        self.warnings: list[str] = []  # what the job should tell, once it has its log
        self.has_begun = False
        self.outcome = "completed"  # the state in which a job ends that nothing fails
        self.give_up: Callable[[BaseException], None] = lambda _: None
        self._status = status

    def begin(self, *, step: int) -> None:
        """Write down that training begins, from `step` on."""
        self.has_begun = True
        note_begin(self.directory.provenance, step=step)

    def write_status(self, state: str | None = None, error: str | None = None) -> None:
        """Write the status as it is now, in a new `state` if one is given."""
        state = state or self._status.state
        self._status = replace(self._status, state=state, error=error, **self.standing())
        write_status(self.directory.status, self._status)


@dataclass(frozen=True)
class _Before:
    """What was in the directory before a job came."""

    files: Mapping[Path, str]  # config, provenance and status of a run that was there
    is_new: bool  # nothing at all was in it ...
    is_ours: bool  # ... or the directory itself was not there


@contextmanager
def open_session(
    directory: RunDirectory,
    job: JobDescription,
    *,
    stop: StopRequests | None = None,
    continue_completed: bool = False,
) -> Iterator[Session]:
    """Take the directory for one job, which `stop` may end while it waits for the directory.

    Raises RunError if the directory is in use, holds a run with another config, or a finished one.
    """
    is_new, is_ours = is_untouched(directory.path), not directory.path.exists()
    directory.path.mkdir(parents=True, exist_ok=True)
    sessions: list[Session] = []
    lease = Lease(
        directory.lease,
        on_beat=lambda: sessions[0].write_status() if sessions else None,
        stop=stop or StopRequests(),
    )
    lease.acquire()
    try:
        _check_same_config(directory, job)
        before = read_raw_status(directory.status)
        if before is not None and before.state == "completed" and not continue_completed:
            raise RunError(
                f"{directory.path} holds a finished run, which is never overwritten: use another "
                "directory, or train it longer: runner resume DIR trainer.max_steps=..."
            )
        before_us = _Before(_files_of(directory), is_new=is_new, is_ours=is_ours)
        session = _begin(directory, job, before or Status(state="running"))
        session.write_status("running")
        sessions.append(session)
    except BaseException:
        lease.release()
        raise
    session.give_up = lambda error: _end(session, lease, error, before_us)
    failure: BaseException | None = None
    try:
        yield session
    except BaseException as raised:
        failure = raised
        raise
    finally:
        _end(session, lease, failure, before_us)


def _check_same_config(directory: RunDirectory, job: JobDescription) -> None:
    if not directory.config.exists():
        return
    if keys := differing_keys(read_config(directory.config), job.config):
        raise RunError(
            f"{directory.path} holds a run with another config, which differs in "
            f"{', '.join(keys)}: use another directory, or go on with the config it has "
            f"(a run of the command line: python -m runner resume {directory.path})"
        )


def _begin(directory: RunDirectory, job: JobDescription, before: Status) -> Session:
    """Write config and provenance; a directory that has them keeps its id."""
    facts, submitted, change = facts_of_process(), code_when_submitted(), None
    said: str | None = None
    if directory.provenance.exists():
        provenance = read_provenance(directory.provenance)
        said = signed_text(provenance)
        change = change_of_code(code_of_last_job(provenance), facts["code"])
    else:
        if submitted is not None:
            change = change_of_code(submitted, facts["code"], since="this job was submitted")
        provenance = first_provenance(name=job.name, id=id_in(directory.path.name), facts=facts)
    known = facts_of_last_job(provenance)
    provenance["jobs"].append(
        job_entry(
            command=job.command,
            overrides=job.overrides,
            changed={name: facts[name] for name in facts if facts[name] != known.get(name)},
            config_before=_config_before(directory, job),
        )
    )
    text = to_yaml(job.config)
    unsigned = sign(directory, text, facts=_vouched(directory, provenance, said))
    write_text_atomically(directory.config, text)
    write_provenance(directory.provenance, provenance)
    status = replace(before, jobs=before.jobs + 1)
    session = Session(directory, provenance["id"], status, Journal(directory.journal))
    session.warnings += [warning for warning in (change, unsigned) if warning]
    return session


def _vouched(directory: RunDirectory, provenance: Mapping[str, Any], said: str | None) -> list[str]:
    """Return what of run.json this user answers for: nothing of what somebody else has `said`."""
    if said is None:
        return [signed_text(provenance)]
    return [signed_text(provenance), said] if are_facts_ours(directory, said) else []


def _config_before(directory: RunDirectory, job: JobDescription) -> dict[str, Any]:
    """Return the keys that the job changes in the config of a run that is there, as they were."""
    if not directory.config.exists():
        return {}
    old, new = leaves(read_config(directory.config)), leaves(job.config)
    return {key: value for key, value in old.items() if key not in new or new[key] != value}


def _files_of(directory: RunDirectory) -> dict[Path, str]:
    """Return what config, provenance and status say of a run that is there."""
    paths = (directory.config, directory.provenance, directory.status)
    return {path: path.read_text(encoding="utf-8") for path in paths if path.exists()}


def _end(session: Session, lease: Lease, failure: BaseException | None, before_us: _Before) -> None:
    """Close the journal, write the last status, give the lease back: each whatever fails before.

    A disk that fails here ends the job as failed, but hides no earlier `failure`.
    """
    reason = failure
    try:
        try:
            session.journal.close()
        except BaseException as error:
            reason = failure or error
            raise
        finally:
            is_refused = isinstance(reason, RunnerError) and not session.has_begun
            if is_refused and before_us.files:
                lease.release(last=lambda: _put_back(before_us.files))
            elif is_refused and before_us.is_new and isinstance(reason, ConfigError | DataError):
                lease.release(last=lambda: take_back_files(session.directory))
                take_back_folder(session.directory, is_ours=before_us.is_ours)
            else:
                state, text = _outcome(session, reason)
                lease.release(last=lambda: session.write_status(state, text))
    except OSError as error:
        if failure is None:
            raise
        _log.error("the end of %s could not be written: %s", session.directory.path, error)


def _put_back(files: Mapping[Path, str]) -> None:
    for path, text in files.items():
        write_text_atomically(path, text)


def _outcome(session: Session, failure: BaseException | None) -> tuple[str, str | None]:
    """Return the state in which a job ended and, of one that failed, why."""
    if failure is None:
        return session.outcome, None
    if isinstance(failure, Interrupted):
        return "preempted", None
    if isinstance(failure, KeyboardInterrupt):
        return "cancelled", None
    return "failed", redacted(f"{type(failure).__name__}: {failure}")

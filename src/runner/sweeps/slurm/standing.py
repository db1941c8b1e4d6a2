"""How the runs of a sweep stand once Slurm is asked: what their own files cannot tell.

A run whose job waits, also again after the loss of a node, is queued whatever its status says; one
whose job is gone runs no more.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.sweeps.directory import SweepDirectory, is_sweep
from runner.sweeps.slurm.book import JobBook
from runner.sweeps.slurm.queue import QueuedJob, read_queue, why
from runner.sweeps.summary import RunRow

_OVER = ("completed", "pruned")
_SAID = {"CANCELLED": "cancelled", "PREEMPTED": "preempted"}
_AT_WORK = ("running", "lost")  # what a status says, or its reader, while a job is at work


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The jobs of some runs as Slurm knows them; `problem` says why it could not be asked."""

    ids: Mapping[int, str]  # the last job of each run that is not known to have ended
    jobs: Mapping[str, QueuedJob] = field(default_factory=dict)  # of those Slurm knows, by their id
    unconfirmed: Collection[str] = ()  # names under which more jobs may be there
    problem: str | None = None

    @property
    def num_alive(self) -> int:
        """How many of the jobs are at work or wait."""
        return sum(job.is_alive for job in self.jobs.values())

    def seen(self, rows: Iterable[RunRow]) -> list[RunRow]:
        """Return the rows with their jobs, and with the states that follow from these."""
        return [self._seen(row) for row in rows]

    def _seen(self, row: RunRow) -> RunRow:
        id = self.ids.get(row.number)
        if id is None:
            return row
        if self.problem is not None or row.state in _OVER:
            return replace(row, job=id)
        job = self.jobs.get(id)
        if job is None:
            return replace(row, job=id, state=_state_without(row.state), why=_gone(row.state, id))
        state = state_of(row.state, job)
        reason = "" if state == "running" else why(job)
        return replace(row, job=id, where=where_of(job), state=state, why=reason)


def standing_of(book: Path, numbers: Iterable[int] | None = None) -> Standing | None:
    """Ask Slurm for the jobs in the book at `book`, or for some runs'; None if there is no book."""
    return standings_of([(book, numbers)])[0]


def standings_of(books: Iterable[tuple[Path, Iterable[int] | None]]) -> list[Standing | None]:
    """Ask Slurm once for the jobs in several books, each with the runs that count, None for all."""
    asked = [_asked(book, numbers) for book, numbers in books]
    known = [each for each in asked if each is not None]
    jobs: Mapping[str, QueuedJob] = {}
    problem: str | None = None
    try:
        ids = [id for standing, _ in known for id in standing.ids.values()]
        jobs = read_queue(ids, users=list({user for _, users in known for user in users}))
    except RunError as error:
        problem = str(error)
    return [each and _answered(each[0], jobs, problem) for each in asked]


def _asked(book: Path, numbers: Iterable[int] | None) -> tuple[Standing, list[int]] | None:
    """Return what a book tells by itself, and whose its jobs are."""
    if not book.is_file():
        return None
    written = JobBook(book)
    ids = written.last_ids
    if numbers is not None:
        ids = {number: ids[number] for number in numbers if number in ids}
    return Standing(ids=ids, unconfirmed=written.unconfirmed), written.users


def _answered(standing: Standing, jobs: Mapping[str, QueuedJob], problem: str | None) -> Standing:
    own = {id: jobs[id] for id in standing.ids.values() if id in jobs}
    return replace(standing, jobs=own, problem=problem if standing.ids else None)


def jobs_alive(book: JobBook) -> dict[int, QueuedJob]:
    """Return the jobs that wait or are at work, or may come back, by their runs.

    Raises RunError where Slurm cannot be asked.
    """
    ids = book.last_ids
    found = read_queue(ids.values(), users=book.users)
    jobs = ((number, found.get(id)) for number, id in ids.items())
    return {number: job for number, job in jobs if job is not None and job.is_alive}


def book_of(path: Path) -> tuple[Path, int | None]:
    """Return where the jobs of the sweep or run in `path` stand, and the number of the one run."""
    if is_sweep(path):
        return SweepDirectory(path).slurm, None
    path = path.resolve()  # "." is in a sweep, too
    if is_sweep(path.parent) and path.name.isdecimal():
        return SweepDirectory(path.parent).slurm, int(path.name)
    return RunDirectory(path).slurm, 0


def state_of(state: str, job: QueuedJob) -> str:
    """Return the state of a run, of which its own files say `state`, with its job as Slurm has it.

    Ask Slurm first and read the files then: a job may end in between, with its last word.
    """
    if state in _OVER:
        return state
    if job.is_waiting:
        return "queued"
    if job.state == "COMPLETING":  # the status may have its last word already
        return "running" if state in _AT_WORK else state
    if job.is_at_work:
        return "running"
    if job.state in _SAID and state != "failed":
        return _SAID[job.state]
    return _state_without(state)


def where_of(job: QueuedJob) -> str:
    """Return in a word or two where a job is: "node1", "pending: Priority", "timeout"."""
    if job.is_at_work:
        return job.nodes
    reason = job.reason.partition(",")[0]
    return f"{job.state.lower()}: {reason}" if job.is_waiting and reason else job.state.lower()


def _state_without(state: str) -> str:
    """Return the state of a run that no job works on any more."""
    return "lost" if state in ("queued", "running") else state


def _gone(state: str, id: str) -> str:
    if state not in ("queued", "running", "lost"):
        return ""
    return f"Slurm knows no job {id} any more: cancelled while it waited, or long over"

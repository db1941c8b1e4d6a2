"""`SlurmPool`: the jobs of a sweep, or of one run, on a SLURM cluster.

    submit   collects; jobs that ask for the same go to the cluster together, as an array
    poll     sends what was collected, asks the queue for all jobs at once, tells who has ended

The jobs live on when this process ends. What stands in the book (slurm.jsonl) lets another process
take them over, from any machine where the cluster's commands work.
"""

import re
import signal
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.errors import RunError
from runner.sweeps.codebase.snapshot import take_snapshot
from runner.sweeps.codebase.submitted import SubmittedCode, leave_code
from runner.sweeps.pool import Ended, Home, Limits, RunOfJob, Whereabouts, Work
from runner.sweeps.slurm.aftermath import teardown_lines
from runner.sweeps.slurm.book import JobBook
from runner.sweeps.slurm.cluster import max_array_size
from runner.sweeps.slurm.queue import QueuedJob, QueueUnavailable, read_queue, run_slurm
from runner.sweeps.slurm.resources import Resources, resources_of
from runner.sweeps.slurm.submission import QueueFullError, Submission
from runner.sweeps.slurm.work import SlurmWork

_LOOK_SECONDS = (1.0, 30.0)  # between two questions to the queue, at least and at most ...
_LOOK_FACTOR = 20.0  # ... and this many times as long as the last one took
_SURE_SECONDS = 3.0  # until an end is believed ...
_SURE_OF_LOSS_SECONDS = 30.0  # ... and one that a requeue may follow, or that nobody knows of
_FULL_SECONDS = 30.0  # until the cluster, which took no more jobs, is asked again
_SLEEP_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class SlurmSetup:
    """How jobs go to the cluster; what each asks for stands in its config."""

    retries: int = 5  # jobs of a run in a row that gain no step
    array_parallelism: int | None = None  # jobs of an array at once
    most: int | None = None  # jobs on the cluster at once; None: all
    warning_seconds: int = 120  # before the time limit
    snapshot_code: bool = False  # jobs run a copy of the code as it is at their submission


@dataclass(kw_only=True)
class _Job:
    number: int
    id: str
    seen: QueuedJob | None = None
    over_since: float | None = None


@dataclass(frozen=True, kw_only=True)
class _New:
    number: int
    work: SlurmWork = field(repr=False)
    resources: Resources


class SlurmPool:
    """A `Pool` whose jobs wait and run on a cluster; what outlives it is in its `home`."""

    def __init__(self, setup: SlurmSetup, home: Home) -> None:
        self._setup = setup
        self._name = re.sub(r"[^\w.+-]", "_", home.name)  # as squeue shows it
        self._folder = home.folder.absolute()
        self._book = JobBook(home.book)
        self._new: list[_New] = []
        self._jobs: dict[int, _Job] = {}
        self._next_look = 0.0
        self._full_until = 0.0

    @property
    def outlives(self) -> bool:
        """Return True: who submitted may leave."""
        return True

    @property
    def ids(self) -> dict[int, str]:
        """Return the jobs that are on the cluster, by the number of their run."""
        return {number: job.id for number, job in self._jobs.items()}

    def adopt(self) -> set[int]:
        """Take over the jobs that an earlier process has left on the cluster."""
        for name in self._book.unconfirmed:  # of these nobody knows which is which
            cancel_by_name(name)
            self._book.not_submitted(name)
        ids = self._book.last_ids
        found = read_queue(ids.values())
        for number, id in ids.items():
            job = found.get(id)
            if job is None or (job.is_over and not job.is_passing):
                self._book.ended(number)
            else:
                self._jobs[number] = _Job(number=number, id=id, seen=job)
        return set(self._jobs)

    def has_room(self, slots: int = 1) -> bool:  # noqa: ARG002 - a queue takes jobs of any size
        """Return whether another job may be handed over now."""
        if time.monotonic() < self._full_until:
            return False
        most = self._setup.most
        return most is None or len(self._jobs) + len(self._new) < most

    def submit(
        self,
        number: int,
        work: Work,
        *,
        log: Path,
        slots: int = 1,  # noqa: ARG002 - the config of the run tells more
        limits: Limits | None = None,  # noqa: ARG002 - the cluster's own hold
        run: RunOfJob | None = None,
    ) -> None:
        """Collect a job, which `poll` sends; what it asks for stands in the config of its run."""
        import cloudpickle

        job = SlurmWork(
            work=cloudpickle.dumps(work),
            path=self._code.path_for(sys.path),
            log=log.absolute(),
            run=None if run is None else run.directory.absolute(),
            retries=self._setup.retries,
        )
        resources = resources_of({} if run is None else run.config)
        self._new.append(_New(number=number, work=job, resources=resources))

    def poll(self, seconds: float) -> list[Ended]:
        """Send what was collected; return the jobs that have ended since the last call."""
        self._send()
        deadline = time.monotonic() + seconds
        while not (ended := self._look()) and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(_SLEEP_SECONDS, left))
        return ended

    def whereabouts(self, number: int) -> Whereabouts:
        """Return on which nodes a job is, or why it waits."""
        job = self._jobs.get(number)
        if job is None or job.seen is None:
            return Whereabouts(text="submitted", is_waiting=True)
        if job.seen.is_waiting:
            return Whereabouts(text=job.seen.reason or job.seen.state.lower(), is_waiting=True)
        return Whereabouts(text=job.seen.nodes)

    def stop(self, number: int) -> None:
        """Cancel a job: it saves and leaves."""
        self._drop(number)
        if number in self._jobs:
            cancel_jobs([self._jobs[number].id])

    def kill(self, number: int) -> None:
        """Cancel a job; the cluster kills it soon after."""
        self.stop(number)

    def close(self) -> None:
        """Leave the jobs alone."""

    @cached_property
    def _code(self) -> SubmittedCode:
        """The code that jobs of this process run; it is looked at when the first is submitted."""
        keep = take_snapshot if self._setup.snapshot_code else leave_code
        return keep(self._folder)

    def _drop(self, number: int) -> None:
        self._new = [new for new in self._new if new.number != number]

    def _send(self) -> None:
        """Hand over what was collected, one array for each kind of resources."""
        if not self._new or time.monotonic() < self._full_until:
            return
        for resources, group in _grouped(self._new):
            for chunk in _chunks(group, max_array_size()):
                if not self._send_some(resources, chunk):
                    self._full_until = time.monotonic() + _FULL_SECONDS
                    return
        self._next_look = 0.0

    def _send_some(self, resources: Resources, chunk: Sequence[_New]) -> bool:
        """Submit `chunk`, in halves if it is too much at once; return whether all of it went."""
        name = f"{self._name}-{uuid.uuid4().hex[:6]}"
        submission = Submission(
            folder=self._folder,
            name=name,
            parameters=self._parameters(resources, len(chunk)),
            python=self._code.python,
        )
        self._book.submitting(name, [new.number for new in chunk])
        try:
            ids = submission.submit([new.work for new in chunk])
        except QueueFullError:
            self._book.not_submitted(name)
            half = len(chunk) // 2
            if not half:
                return False
            return self._send_some(resources, chunk[:half]) and self._send_some(
                resources, chunk[half:]
            )
        except RunError:
            self._book.not_submitted(name)
            raise
        pairs = dict(zip((new.number for new in chunk), ids, strict=True))
        self._book.submitted(name, pairs)
        for new in chunk:
            self._jobs[new.number] = _Job(number=new.number, id=pairs[new.number])
            self._drop(new.number)
        return True

    def _parameters(self, resources: Resources, count: int) -> dict[str, object]:
        """Return what submitit is to ask for: for `count` jobs with the same resources."""
        setup = self._setup
        parameters = resources.parameters(warning_seconds=setup.warning_seconds)
        own_lines = parameters.get("setup") or []
        return {
            **parameters,
            "setup": [*own_lines, *self._code.setup_lines(sys.path)],
            "teardown": teardown_lines(self._code.python, self._folder),
            "array_parallelism": setup.array_parallelism or count,
        }

    def _look(self) -> list[Ended]:
        """Ask the queue, if it is time to, and return the jobs that are over."""
        now = time.monotonic()
        if not self._jobs or now < self._next_look:
            return []
        try:
            found = read_queue([job.id for job in self._jobs.values()])
        except QueueUnavailable:  # for now
            self._next_look = time.monotonic() + _LOOK_SECONDS[1]
            return []
        took = time.monotonic() - now
        least, most = _LOOK_SECONDS
        self._next_look = time.monotonic() + min(max(_LOOK_FACTOR * took, least), most)
        ended = []
        for job in list(self._jobs.values()):
            job.seen = found.get(job.id)
            if self._is_surely_over(job, now):
                del self._jobs[job.number]
                self._book.ended(job.number)
                ended.append(_end_of(job, self._folder))
        return ended

    def _is_surely_over(self, job: _Job, now: float) -> bool:
        """Return whether a job that seems to be over has seemed so for long enough.

        A job that comes back after the loss of a node is shown as failed for a moment.
        """
        seen = job.seen
        if seen is not None and not seen.is_over:
            job.over_since = None
            return False
        if seen is not None and seen.state == "COMPLETED":
            return True
        if job.over_since is None:
            job.over_since = now
        is_doubtful = seen is None or seen.is_passing
        return now - job.over_since >= (_SURE_OF_LOSS_SECONDS if is_doubtful else _SURE_SECONDS)


def jobs_at_work(book: Path) -> set[int]:
    """Return the numbers of the runs whose jobs wait or run on the cluster, as `book` tells."""
    ids = JobBook(book).last_ids
    found = read_queue(ids.values())
    jobs = ((number, found.get(id)) for number, id in ids.items())
    return {number for number, job in jobs if job and (job.is_passing or not job.is_over)}


def cancel_jobs(ids: Sequence[str]) -> None:
    """Cancel jobs by their ids; those that are over are left alone."""
    for some in _chunks(list(ids), 200):
        _scancel(*some)


def cancel_by_name(name: str) -> None:
    """Cancel the user's jobs of this name."""
    _scancel("--me", "--name", name)


def _scancel(*arguments: str) -> None:
    with suppress(QueueUnavailable):  # some of them are over
        run_slurm(["scancel", "--quiet", *arguments])


def _grouped(jobs: Sequence[_New]) -> list[tuple[Resources, list[_New]]]:
    groups: dict[Resources, list[_New]] = {}
    for job in jobs:
        groups.setdefault(job.resources, []).append(job)
    return list(groups.items())


def _chunks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    return (list(items[start : start + size]) for start in range(0, len(items), size))


def _end_of(job: _Job, folder: Path) -> Ended:
    """Return how a job ended, as the cluster tells; what came of its run stands in its status."""
    state = "" if job.seen is None else job.seen.state
    match state:
        case "COMPLETED":
            return Ended(number=job.number, exit_code=0)
        case "CANCELLED":
            return Ended(number=job.number, signal=signal.SIGTERM, is_cancelled=True)
        case "TIMEOUT" | "DEADLINE":
            return Ended(number=job.number, signal=signal.SIGTERM, exceeded="time")
        case "OUT_OF_MEMORY":
            return Ended(number=job.number, signal=signal.SIGKILL, exceeded="memory")
        case "FAILED" if job.seen and job.seen.signal:  # its batch script was killed
            return Ended(number=job.number, signal=job.seen.signal)
        case "FAILED":
            code = (job.seen and job.seen.exit_code) or 1
            return Ended(number=job.number, exit_code=code, log=folder / f"{job.id}_0_log.out")
    # Its node is gone and the cluster does not bring it back, or has forgotten it.
    return Ended(number=job.number, signal=signal.SIGKILL)

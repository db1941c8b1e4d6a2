"""`SlurmPool`: the jobs of a sweep, or of one run, on a SLURM cluster.

    submit   collects; jobs that ask for the same go to the cluster together, as an array
    poll     sends what was collected, asks the queue for all jobs at once, tells who has ended

The jobs live on when this process ends. What stands in the book (slurm.jsonl) lets another process
take them over, from any machine where the cluster's commands work.
"""

import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.sweeps.pool import Ended, Home, Limits, RunOfJob, Whereabouts, Work
from runner.sweeps.slurm.book import JobBook
from runner.sweeps.slurm.outbox import NewJob, Outbox, SlurmSetup
from runner.sweeps.slurm.queue import QueuedJob, QueueUnavailable, read_queue, run_slurm
from runner.sweeps.slurm.resources import resources_of
from runner.sweeps.slurm.standing import jobs_alive
from runner.sweeps.slurm.work import SlurmWork

_LOOK_SECONDS = (1.0, 30.0)  # between two questions to the queue, at least and at most ...
_LOOK_FACTOR = 20.0  # ... and this many times as long as the last one took
_SURE_SECONDS = 3.0  # until an end is believed ...
_SURE_OF_LOSS_SECONDS = 30.0  # ... and one that a requeue may follow, or that nobody knows of
_KNOWN_SECONDS = 60.0  # Slurm knows for longer of a job that ran (MinJobAge: 5 minutes)
_UNAVAILABLE_SECONDS = 10.0  # until a cluster that gave no answer is asked again
_CANCEL_SECONDS = 2.0  # between two tries to cancel jobs
_SLEEP_SECONDS = 0.1
_MOST_IDS = 1000  # of one scancel call


@dataclass(kw_only=True)
class _Job:
    number: int
    id: str
    seen: QueuedJob | None = None
    waited_at: float | None = None  # when it was last seen to wait; None once it was at work
    over_since: float | None = None
    is_told_to_leave: bool = False


class SlurmPool:
    """A `Pool` whose jobs wait and run on a cluster; what outlives it is in its `home`."""

    def __init__(self, setup: SlurmSetup, home: Home) -> None:
        self._setup = setup
        self._folder = home.folder.absolute()
        self._book = JobBook(home.book)
        self._outbox = Outbox(setup, home, self._book)
        self._jobs: dict[int, _Job] = {}
        self._to_cancel: set[int] = set()
        self._dropped: list[Ended] = []  # refused, or cancelled before they were sent
        self._next_look = 0.0
        self._next_cancel = 0.0

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
        self._outbox.withdraw_unconfirmed()
        self._jobs = {}
        for number, seen in jobs_alive(self._book).items():
            self._jobs[number] = job = _Job(number=number, id=seen.id)
            self._see(job, seen, time.monotonic())
        ids = self._book.last_ids
        self._book.ended(*(ids[number] for number in sorted(ids.keys() - self._jobs.keys())))
        return set(self._jobs)

    def has_room(self, slots: int = 1) -> bool:  # noqa: ARG002 - a queue takes jobs of any size
        """Return whether another job may be handed over now."""
        most = self._setup.most
        return most is None or len(self._jobs) + len(self._outbox) < most

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
            path=self._outbox.code.path_for(sys.path),
            log=log.absolute(),
            run=None if run is None else run.directory.absolute(),
            retries=self._setup.retries,
        )
        resources = resources_of({} if run is None else run.config)
        self._outbox.add(NewJob(number=number, work=job, resources=resources))

    def poll(self, seconds: float) -> list[Ended]:
        """Send what was collected; return the jobs that have ended since the last call."""
        self._cancel()  # first: what has not been sent need not be
        self._send()
        deadline = time.monotonic() + seconds
        while not (ended := self._look()) and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(_SLEEP_SECONDS, left))
        return ended

    def whereabouts(self, number: int) -> Whereabouts:
        """Return on which nodes a job is, or why it waits."""
        job = self._jobs.get(number)
        if job is None:
            why = self._outbox.obstacle or "to be submitted"
            return Whereabouts(text=why, is_waiting=True, is_there=False)
        if job.seen is None:
            return Whereabouts(text="submitted", is_waiting=True)
        if job.seen.is_waiting:
            why = job.seen.reason or job.seen.state.lower()
            return Whereabouts(text=why, is_waiting=True, is_back=job.seen.restarts > 0)
        return Whereabouts(text=job.seen.nodes)

    def stop(self, number: int) -> None:
        """Cancel a job, with the next `poll`: it saves and leaves."""
        self._to_cancel.add(number)

    def kill(self, number: int) -> None:
        """Cancel a job; the cluster kills it soon after."""
        self.stop(number)

    def close(self) -> None:
        """Leave the jobs alone."""

    def _send(self) -> None:
        for ids in self._outbox.send():
            for number, id in ids.items():
                self._jobs[number] = _Job(number=number, id=id, waited_at=time.monotonic())
            self._next_look = 0.0
        for number, why in self._outbox.take_refusals().items():
            self._to_cancel.discard(number)
            self._dropped.append(Ended(number=number, exit_code=1, refusal=why))

    def _cancel(self) -> None:
        """Cancel what is to be; again where the cluster gave no answer, or has requeued a job."""
        if time.monotonic() < self._next_cancel:
            return
        ids = []
        for number in self._to_cancel:
            if self._outbox.drop(number):
                self._dropped.append(_cancelled(number))
            elif (job := self._jobs.get(number)) is not None and not job.is_told_to_leave:
                ids.append(job.id)
        if ids and cancel_jobs(ids):
            for number in self._to_cancel & self._jobs.keys():
                self._jobs[number].is_told_to_leave = True
        self._next_cancel = time.monotonic() + _CANCEL_SECONDS if ids else 0.0

    def _look(self) -> list[Ended]:
        """Ask the queue, if it is time to, and return the jobs that are over."""
        ended, self._dropped = self._dropped, []
        now = time.monotonic()
        if not self._jobs or now < self._next_look:
            return ended
        try:
            found = read_queue([job.id for job in self._jobs.values()], users=self._book.users)
        except QueueUnavailable:  # for now
            self._next_look = time.monotonic() + _UNAVAILABLE_SECONDS
            return ended
        took = time.monotonic() - now
        least, most = _LOOK_SECONDS
        self._next_look = time.monotonic() + min(max(_LOOK_FACTOR * took, least), most)
        for job in list(self._jobs.values()):
            self._see(job, found.get(job.id), now)
            if self._is_surely_over(job, now):
                end = _end_of(job, self._folder)
                if job.seen is None and (job.number in self._to_cancel or _never_ran(job)):
                    end = _cancelled(job.number)
                del self._jobs[job.number]
                self._to_cancel.discard(job.number)
                self._book.ended(job.id)
                ended.append(end)
        return ended

    def _see(self, job: _Job, seen: QueuedJob | None, now: float) -> None:
        job.seen = seen
        if seen is not None:
            job.waited_at = now if seen.is_waiting else None
            job.is_told_to_leave = job.is_told_to_leave and not seen.is_waiting

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
        is_cancelled = job.number in self._to_cancel  # of one that waited nothing remains
        is_doubtful = not is_cancelled if seen is None else seen.is_passing
        return now - job.over_since >= (_SURE_OF_LOSS_SECONDS if is_doubtful else _SURE_SECONDS)


def jobs_at_work(book: Path) -> set[int]:
    """Return the numbers of the runs whose jobs wait or run on the cluster, as `book` tells."""
    return set(jobs_alive(JobBook(book)))


def cancel_jobs(ids: Sequence[str]) -> bool:
    """Cancel jobs by their ids; return whether the cluster has heard of it for each.

    False also when some of them are over.
    """
    is_heard = True
    for first in range(0, len(ids), _MOST_IDS):
        try:
            run_slurm(["scancel", *ids[first : first + _MOST_IDS]])
        except QueueUnavailable:
            is_heard = False
    return is_heard


def _never_ran(job: _Job) -> bool:
    """Return whether a job is gone from the queue in which it waited a moment before.

    Slurm keeps no trace of a task that somebody cancels while its array waits.
    """
    waited, gone = job.waited_at, job.over_since
    return waited is not None and gone is not None and gone - waited <= _KNOWN_SECONDS


def _cancelled(number: int) -> Ended:
    return Ended(number=number, signal=signal.SIGTERM, is_cancelled=True)


def _end_of(job: _Job, folder: Path) -> Ended:
    """Return how a job ended, as the cluster tells; what came of its run stands in its status."""
    state = "" if job.seen is None else job.seen.state
    match state:
        case "COMPLETED":
            return Ended(number=job.number, exit_code=0)
        case "CANCELLED":
            return _cancelled(job.number)
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

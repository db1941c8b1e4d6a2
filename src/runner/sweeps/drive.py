"""Drive a sweep: give its runs to a pool, and see each of them to its end.

    while there are runs to come, or jobs at work:
        while the pool has room: take a run, start a job for it
        for each job that has ended:
            another job for its run, if that is worth it
            else the last word: told to source and watcher
        asked to stop? ask every job to save and leave, and leave too

What became of a run is read from its own directory; where its job could not write it down, having
been killed, this does. Jobs that outlive this process are left alone when it stops, unless they are
to be cancelled; the next start of the sweep takes them over.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from runner.errors import Interrupted
from runner.run.directory import RunDirectory
from runner.run.ending import cancel_run, give_up_run, requeue_run
from runner.run.lease import PATIENCE_SECONDS
from runner.run.status import Status, read_status
from runner.runtime.signals import StopRequests
from runner.sweeps.ledger import PlannedRun
from runner.sweeps.outcomes import Attempts, Outcome, is_worth_another, outcome_of, reason_of
from runner.sweeps.pool import Ended, Limits, Pool, RunOfJob, Work
from runner.sweeps.pulse import Pulse
from runner.sweeps.source import Source
from runner.sweeps.watcher import JobAtWork, JobsLeft, Watcher

POLL_SECONDS = 0.25
BUSY_SECONDS = 1.0  # between two looks at a run that another process is at work on


class Places(Protocol):
    """Knows where runs are: the directory of a sweep does."""

    def job(self, number: int) -> RunDirectory:
        """Return the directory of the run with this number."""
        ...


@dataclass(kw_only=True)
class _Progress:
    """What this start of a sweep knows of one run."""

    run: PlannedRun
    attempts: Attempts
    pulse: Pulse  # of another process that is at work on it
    look_again: float = 0.0  # while one is
    end: tuple[Outcome, Ended] | None = None  # that is to be written down


@dataclass(kw_only=True)
class Drive:
    """One start of a sweep, or of a single run; `work_of` makes the job of a run."""

    directory: Places
    source: Source
    pool: Pool
    work_of: Callable[[PlannedRun], Work]
    watcher: Watcher
    retries: int = 3
    limits: Limits = field(default_factory=Limits)
    patience_seconds: float = PATIENCE_SECONDS  # with a process elsewhere that is at work on a run
    watches: bool = True  # else it starts the jobs and leaves them
    cancels: Callable[[], bool] = lambda: False  # when it stops: jobs that would outlive it
    _adopted: set[int] = field(default_factory=set)
    _at_work: dict[int, _Progress] = field(default_factory=dict)
    _again: deque[_Progress] = field(default_factory=deque)
    _unwritten: list[_Progress] = field(default_factory=list)  # their jobs have ended

    def run(self, stop: StopRequests) -> None:
        """Do all runs; raise Interrupted, when `stop` was asked to, after all jobs have saved.

        Raises JobsLeft instead when there are jobs, and they live on.
        """
        self._adopted = self.pool.adopt()
        while not self._is_done():
            if stop.received is not None:
                self._leave()
                raise Interrupted(stop.received)
            self._fill()
            may_leave = self._may_leave()
            for ended in self.pool.poll(0.0 if may_leave else POLL_SECONDS):
                self._take_in(ended, may_try_again=True)
            self._write_down()
            self._look()
            if may_leave and self._may_leave():
                raise self._left()

    def _is_done(self) -> bool:
        are_over = not self._at_work and not self._again and not self._unwritten
        return are_over and self.source.is_exhausted

    def _may_leave(self) -> bool:
        """Return whether nobody is to watch, and it is known of each run whether it has a job."""
        are_known = all(
            progress.pulse.is_felt or not self.pool.has_room(_slots(progress.run))
            for progress in self._again
        )
        return not self.watches and are_known and not self._unwritten

    def _fill(self) -> None:
        """Start jobs while there is room."""
        put_aside = []
        while (progress := self._next()) is not None:
            if not self._start(progress):
                put_aside.append(progress)
        self._again.extend(put_aside)

    def _next(self) -> _Progress | None:
        """Return the next run to start, if the pool has room for it."""
        now = time.monotonic()
        for progress in self._again:
            if progress.look_again <= now and self.pool.has_room(_slots(progress.run)):
                self._again.remove(progress)
                return progress
        if not self.pool.has_room():
            return None
        run = self.source.take()
        if run is None:
            return None
        status = self._status(run)
        attempts = Attempts(best_step=status.step if status else 0)
        return _Progress(run=run, attempts=attempts, pulse=self._pulse(run))

    def _start(self, progress: _Progress) -> bool:
        """Start a job, unless another process is at work on the run or the pool is full."""
        run, status = progress.run, self._status(progress.run)
        if run.number in self._adopted:
            self._adopted.discard(run.number)
            self._at_work[run.number] = progress
            self.watcher.began(run, status)
            return True
        if status is not None and status.state == "running" and self._is_alive(progress):
            progress.look_again = time.monotonic() + BUSY_SECONDS
            return False
        if status is not None and status.state == "completed":  # by the other process
            self._close(progress, Outcome.COMPLETED, status)
            return True
        if not self.pool.has_room(_slots(run)):
            return False
        self._at_work[run.number] = progress
        requeue_run(self._run_directory(run))
        self.pool.submit(
            run.number,
            self.work_of(run),
            log=self._run_directory(run).console,
            slots=_slots(run),
            limits=self.limits,
            run=RunOfJob(directory=self._run_directory(run).path, config=run.config),
        )
        self.watcher.began(run, status)
        return True

    def _is_alive(self, progress: _Progress) -> bool:
        """Return whether the process that is at work on a run gives signs of life.

        One on a machine that is gone gives none; then a job is started, which takes the lease over.
        """
        progress.pulse.feel()
        return progress.pulse.still_at(self.patience_seconds) is None

    def _take_in(self, ended: Ended, *, may_try_again: bool) -> None:
        """Decide what follows from the end of a job."""
        self._adopted.discard(ended.number)
        if ended.number not in self._at_work:  # left by an earlier process, and its run not wanted
            return
        progress = self._at_work.pop(ended.number)
        run, status = progress.run, self._status(progress.run)
        progress.attempts.count(status.step if status else 0)
        outcome = outcome_of(ended, status)
        if not may_try_again and outcome not in (Outcome.COMPLETED, Outcome.CANCELLED):
            self.watcher.ended(run, outcome, status or Status(state="queued"))
            return
        if is_worth_another(outcome, progress.attempts, retries=self.retries):
            self.watcher.again(run, outcome)
            self._again.append(progress)
            return
        if outcome in (Outcome.COMPLETED, Outcome.PRUNED):
            self._close(progress, outcome, status or Status(state="failed"))
            return
        progress.end, progress.pulse, progress.look_again = (outcome, ended), self._pulse(run), 0.0
        self._unwritten.append(progress)

    def _write_down(self) -> None:
        """Let runs that failed say so, and why, where their jobs could not.

        The lease of a job that was killed on another machine stays, and so does the run until its
        heartbeat has stood still for the patience; one that goes on is of another job.
        """
        for progress in list(self._unwritten):
            if progress.end is None or progress.look_again > time.monotonic():
                continue
            progress.look_again = time.monotonic() + BUSY_SECONDS
            progress.pulse.feel()
            if self._is_written(progress, *progress.end) or progress.pulse.is_felt:
                self._unwritten.remove(progress)
                status = self._status(progress.run) or Status(state="failed")
                self._close(progress, progress.end[0], status)

    def _is_written(self, progress: _Progress, outcome: Outcome, ended: Ended) -> bool:
        run, status = self._run_directory(progress.run), self._status(progress.run)
        silent = progress.pulse.still_at(self.patience_seconds)
        if outcome is Outcome.CANCELLED:
            return cancel_run(run, patience_seconds=0.0, silent=silent)
        if status is not None and status.state == "failed" and status.error is not None:
            return True
        reason = reason_of(outcome, ended, progress.attempts)
        return give_up_run(run, reason, patience_seconds=0.0, silent=silent)

    def _close(self, progress: _Progress, outcome: Outcome, status: Status) -> None:
        self.source.ended(progress.run, status)
        self.watcher.ended(progress.run, outcome, status)

    def _leave(self) -> None:
        """Ask every job to save and leave, and wait for it; raise JobsLeft if they stay."""
        if self.pool.outlives and self._at_work and not self.cancels():
            raise self._left()
        if not self._at_work:
            return
        self.watcher.stopping()
        for number in self._at_work:
            self.pool.stop(number)
        while self._at_work or self._unwritten:
            for ended in self.pool.poll(POLL_SECONDS):
                self._take_in(ended, may_try_again=False)
            self._write_down()
            self._look()

    def _left(self) -> JobsLeft:
        places = {number: self.pool.whereabouts(number) for number in sorted(self._at_work)}
        taken = [number for number, place in places.items() if place.is_there]
        return JobsLeft(taken, {n: place.text for n, place in places.items() if not place.is_there})

    def _look(self) -> None:
        at_work = [
            JobAtWork(run=progress.run, whereabouts=self.pool.whereabouts(number))
            for number, progress in sorted(self._at_work.items())
        ]
        self.watcher.look(at_work, len(self._again))
        for job in at_work:
            if job.whereabouts.is_back and self._is_over(job.run):
                self.pool.stop(job.run.number)  # it would wait to find nothing to do

    def _is_over(self, run: PlannedRun) -> bool:
        status = self._status(run)
        return status is not None and status.state in ("completed", "pruned")

    def _pulse(self, run: PlannedRun) -> Pulse:
        return Pulse(self._run_directory(run).lease)

    def _run_directory(self, run: PlannedRun) -> RunDirectory:
        return self.directory.job(run.number)

    def _status(self, run: PlannedRun) -> Status | None:
        return read_status(self._run_directory(run))


def _slots(run: PlannedRun) -> int:
    """Return how many slots a run takes: one for each of its ranks."""
    hardware: Any = run.config.get("hardware") or {}
    count = hardware.get("num_processes", 1)
    return count if isinstance(count, int) else 1

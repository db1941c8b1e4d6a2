"""The server of the local pool: imports the heavy packages once and forks a process for each job.

    import what was asked for
    until the pool is gone and all jobs have ended:
        wait for an order, the end of a child, or the next look at the clock
        do the orders: fork a job, signal a job
        reap the children; of a job that was killed nothing may be left
        enforce the limits: SIGTERM, after the grace time SIGKILL

It has one thread and a session of its own, so that a Ctrl-C does not reach it. When the pool's
process is gone, however it went, every job is asked to save and leave. When this process is gone,
its jobs see the end of a pipe that it alone held open, and ask themselves.
"""

import gc
import importlib
import os
import select
import signal
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import NoReturn

import psutil

from runner.runtime.signals import STOP_SIGNALS
from runner.sweeps.local import forked
from runner.sweeps.local.family import is_alive, kill_family, memory_gib
from runner.sweeps.local.messages import Order, Setup, Signal, Start, Started
from runner.sweeps.local.subreaper import adopt_orphans
from runner.sweeps.pool import Ended

_MEMORY_SECONDS = 0.5  # between two looks at the memory of jobs
_LEFTOVER_SECONDS = 0.01  # between two looks for what a killed job left
_PATIENCE_SECONDS = 5.0  # with what cannot even be killed: a disk that does not answer


@dataclass(kw_only=True)
class _Job:
    start: Start
    pid: int
    ask_at: float | None  # when its time is over
    kill_at: float | None = None
    exceeded: str | None = None
    is_killed: bool = False
    victims: set[psutil.Process] = field(default_factory=set)
    ended: Ended | None = None  # known, but not told: something of it is still there
    told_at: float = 0.0  # at the latest
    look_at: float = 0.0  # at its memory


def main(number: int) -> None:
    """Serve the pool at the other end of the socket with this file number."""
    with Connection(number) as connection:
        os.set_inheritable(number, False)
        setup = connection.recv()
        assert isinstance(setup, Setup)
        sys.argv[:] = setup.arguments
        server = Server(connection, grace_seconds=setup.grace_seconds)
        _import(setup.preload)
        server.serve()
    os._exit(0)  # to take all that was imported apart takes a while


def _import(names: tuple[str, ...]) -> None:
    for name in names:
        with suppress(Exception):  # the job that needs it will tell
            importlib.import_module(name)
    gc.collect()
    gc.disable()  # the jobs enable it: until they write, they share these pages
    gc.freeze()


def _forked() -> int:
    with warnings.catch_warnings():  # of threads, which libraries start when imported
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


class Server:
    """Forks the jobs that the pool at the other end of `connection` orders."""

    def __init__(self, connection: Connection, *, grace_seconds: float) -> None:
        self._connection = connection
        self._grace_seconds = grace_seconds
        self._jobs: dict[int, _Job] = {}  # by number
        self._is_alone = False
        self._lifeline, self._held = os.pipe()
        self._waking, self._woken = os.pipe()
        os.set_blocking(self._waking, False)
        os.set_blocking(self._woken, False)
        # Ctrl-C does not come here; what a cluster sends to all processes is the pool's to obey.
        handled = (*STOP_SIGNALS, signal.SIGCHLD)
        self._handlers = {number: signal.getsignal(number) for number in handled}
        for number in handled:
            if number == signal.SIGCHLD or self._handlers[number] != signal.SIG_IGN:  # by nohup
                signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        adopt_orphans()

    def serve(self) -> None:
        """Serve until the pool is gone and all jobs have ended."""
        while self._jobs or not self._is_alone:
            self._wait()
            self._take_orders()
            self._reap()
            now = time.monotonic()
            for job in list(self._jobs.values()):
                self._enforce(job, now)

    def _wait(self) -> None:
        sources = [self._waking] if self._is_alone else [self._waking, self._connection.fileno()]
        select.select(sources, [], [], self._seconds_to_next_look())
        with suppress(BlockingIOError):
            os.read(self._waking, 4096)

    def _seconds_to_next_look(self) -> float | None:
        now = time.monotonic()
        looks: list[float] = []
        for job in self._jobs.values():
            if job.ended is not None:
                looks.append(now + _LEFTOVER_SECONDS)
                continue
            looks += [at for at in (job.ask_at, job.kill_at) if at is not None]
            if job.start.limits.memory_gib is not None:
                looks.append(job.look_at)
        return max(0.0, min(looks) - now) if looks else None

    def _take_orders(self) -> None:
        try:
            while not self._is_alone and self._connection.poll():
                self._obey(self._connection.recv())
        except (EOFError, OSError):
            self._leave()

    def _obey(self, order: Order) -> None:
        match order:
            case Start():
                self._fork(order)
            case Signal():
                job = self._jobs.get(order.number)
                if job is None or job.ended is not None:
                    return
                if order.signal == signal.SIGKILL:
                    self._kill(job)
                else:
                    os.kill(job.pid, order.signal)
            case Setup():
                raise AssertionError("told twice")

    def _leave(self) -> None:
        """Ask all jobs to stop: nobody waits for them any more."""
        self._is_alone = True
        for job in self._jobs.values():
            if job.ended is None:
                self._ask(job)

    def _fork(self, start: Start) -> None:
        # A signal that comes before the job can hear it waits.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = _forked()
        except OSError as error:  # no memory, or too many processes: others are not to blame
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._refuse(start, error)
            return
        if pid == 0:
            self._become(start)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        seconds = start.limits.seconds
        ask_at = None if seconds is None else time.monotonic() + seconds
        self._jobs[start.number] = _Job(start=start, pid=pid, ask_at=ask_at)
        self._tell(Started(number=start.number, pid=pid))

    def _refuse(self, start: Start, error: OSError) -> None:
        with suppress(OSError):
            start.log.parent.mkdir(parents=True, exist_ok=True)
            with start.log.open("a", encoding="utf-8") as log:
                log.write(f"error: no process could be made for this job: {error}\n")
        self._tell(Ended(number=start.number, exit_code=1))

    def _become(self, job: Start) -> NoReturn:
        """Let go of all that is the server's, and be this job."""
        try:
            signal.set_wakeup_fd(-1)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._connection.close()
            for file in (self._held, self._waking, self._woken):
                os.close(file)
            forked.live(job, lifeline=self._lifeline, grace_seconds=self._grace_seconds)
        finally:
            os._exit(1)

    def _reap(self) -> None:
        numbers = {job.pid: job.start.number for job in self._jobs.values() if not job.ended}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in numbers:  # else an orphan
                self._end(self._jobs[numbers[pid]], os.waitstatus_to_exitcode(status))

    def _end(self, job: _Job, code: int) -> None:
        job.ended = Ended(
            number=job.start.number,
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            exceeded=job.exceeded,
        )
        # Who left by itself left no more behind than it meant to.
        job.is_killed = job.is_killed or code < 0
        job.told_at = time.monotonic() + _PATIENCE_SECONDS

    def _enforce(self, job: _Job, now: float) -> None:
        if job.ended is not None:
            self._bury(job, now)
        elif job.kill_at is not None and now >= job.kill_at:
            job.kill_at = None
            self._kill(job)
        elif job.ask_at is not None and now >= job.ask_at:
            job.exceeded = "time"
            self._ask(job)
        elif (limit := job.start.limits.memory_gib) is not None and now >= job.look_at:
            job.look_at = now + _MEMORY_SECONDS
            if not job.is_killed and memory_gib(job.pid) > limit:
                job.exceeded = "memory"
                self._kill(job)

    def _bury(self, job: _Job, now: float) -> None:
        """Tell the end of a job, of a killed one not before nothing is left of it."""
        assert job.ended is not None
        if job.is_killed and now < job.told_at:
            job.victims |= kill_family(job.pid)
            if any(map(is_alive, job.victims)):
                return
        del self._jobs[job.start.number]
        self._tell(job.ended)

    def _ask(self, job: _Job) -> None:
        job.ask_at = None
        job.kill_at = job.kill_at or time.monotonic() + self._grace_seconds
        os.kill(job.pid, signal.SIGTERM)

    def _kill(self, job: _Job) -> None:
        job.is_killed = True
        job.victims |= kill_family(job.pid)

    def _tell(self, message: Started | Ended) -> None:
        with suppress(OSError):  # the pool is gone: seen when its orders are read
            self._connection.send(message)

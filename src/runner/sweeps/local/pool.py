"""`LocalPool`: the jobs of a sweep on this machine, as many at once as it has slots."""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.sweeps.local.family import family_of, kill_family
from runner.sweeps.local.messages import Setup, Signal, Start, Started
from runner.sweeps.local.server_process import ServerProcess
from runner.sweeps.local.slots import Slots
from runner.sweeps.pool import Ended, Limits, RunOfJob, Whereabouts, Work

GRACE_SECONDS = 30.0

_KILLED_SECONDS = 10.0  # until what was killed is gone
_LOOK_SECONDS = 0.02  # between two looks at jobs whose server is gone


@dataclass(frozen=True, kw_only=True)
class _Submitted:
    number: int
    work: bytes = field(repr=False)
    log: Path
    slots: int
    limits: Limits


class LocalPool:
    """A `Pool` whose jobs are forked, within milliseconds, from a server of its own.

    The server imports `preload` once, while this process, which never imports them, goes on. Jobs
    for which there is no room wait for it, in their order. However this process ends, its jobs are
    asked to save and leave, and after `grace_seconds` killed; what they started goes with them.
    One thread at a time may use a pool.
    """

    def __init__(
        self,
        slots: Slots,
        *,
        preload: Sequence[str] = (),
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.slots = slots
        self._preload = tuple(preload)
        self._grace_seconds = grace_seconds
        self._waiting: deque[_Submitted] = deque()
        self._running: dict[int, int | None] = {}  # number -> process, once it is known
        self._orphaned: dict[int, float] = {}  # their server is gone: number -> when to kill
        self._ended: list[Ended] = []
        self._server: ServerProcess | None = self._start_server()

    def has_room(self, slots: int = 1) -> bool:
        """Return whether a job that needs `slots` would begin at once."""
        return not self._waiting and self.slots.have_room(slots)

    @property
    def outlives(self) -> bool:
        """Return False: jobs end with this process."""
        return False

    def adopt(self) -> set[int]:
        """Return nothing: no job of an earlier process lives on."""
        return set()

    def whereabouts(self, number: int) -> Whereabouts:  # noqa: ARG002
        """Return nothing to tell: all jobs are here."""
        return Whereabouts()

    def submit(
        self,
        number: int,
        work: Work,
        *,
        log: Path,
        slots: int = 1,
        limits: Limits | None = None,
        run: RunOfJob | None = None,  # noqa: ARG002 - `slots` says all that it needs
    ) -> None:
        """Start `work`, now or when there is room; see `Pool`. Functions of a script will do."""
        import cloudpickle

        job = _Submitted(
            number=number,
            work=cloudpickle.dumps(work),
            log=log.absolute(),
            slots=slots,
            limits=limits or Limits(),
        )
        self._waiting.append(job)
        self._start_waiting()

    def poll(self, seconds: float) -> list[Ended]:
        """Return the jobs that have ended since the last call; wait up to `seconds` for one."""
        deadline = time.monotonic() + seconds
        while True:
            self._listen(max(0.0, deadline - time.monotonic()))
            if self._ended or time.monotonic() >= deadline:
                ended, self._ended = self._ended, []
                return ended

    def stop(self, number: int) -> None:
        """Ask a running job to save and leave; one that waits never begins."""
        self._signal(number, signal.SIGTERM)

    def kill(self, number: int) -> None:
        """End a running job and all that it started at once."""
        self._signal(number, signal.SIGKILL)

    def close(self) -> None:
        """Stop what still runs, wait for it within the grace time, kill the rest, and leave.

        Interrupted while it waits, by a second Ctrl-C, it kills at once.
        """
        self._waiting.clear()
        try:
            self._let_all_end(signal.SIGTERM, seconds=self._grace_seconds)
        finally:
            self._let_all_end(signal.SIGKILL, seconds=_KILLED_SECONDS)
            if self._server is not None:
                self._server.end(at_once=not self._running)
                self._server = None

    def _let_all_end(self, how: signal.Signals, *, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for number in list(self._running):
            self._signal(number, how)
        while self._running and time.monotonic() < deadline:
            self._listen(deadline - time.monotonic())

    def _signal(self, number: int, how: signal.Signals) -> None:
        for job in self._waiting:
            if job.number == number:
                self._waiting.remove(job)
                self._ended.append(Ended(number=number, signal=how))
                return
        if number in self._orphaned and how == signal.SIGKILL:
            self._orphaned[number] = time.monotonic()
        elif number in self._running and self._server is not None:
            self._server.send(Signal(number=number, signal=how))

    def _start_waiting(self) -> None:
        while self._waiting and self.slots.have_room(self._waiting[0].slots):
            job = self._waiting.popleft()
            start = Start(
                number=job.number,
                work=job.work,
                log=job.log,
                environment={**os.environ, **self.slots.take(job.number, job.slots)},
                folder=str(Path.cwd()),
                path=tuple(sys.path),
                limits=job.limits,
            )
            server = self._living_server()
            self._running[job.number] = None
            server.send(start)

    def _living_server(self) -> ServerProcess:
        if self._server is not None and not self._server.is_alive:
            self._hear(self._server, 0.0)
        if self._server is None:
            self._server = self._start_server()
        return self._server

    def _listen(self, seconds: float) -> None:
        """Hear of what has ended; wait up to `seconds` for the first word."""
        if self._orphaned:
            seconds = min(seconds, _LOOK_SECONDS)
            self._look_after_orphans()
        if self._server is None:
            time.sleep(seconds)
        else:
            self._hear(self._server, seconds)
        self._start_waiting()

    def _hear(self, server: ServerProcess, seconds: float) -> None:
        try:
            for message in server.messages(seconds):
                if isinstance(message, Started):
                    self._running[message.number] = message.pid
                else:
                    self._end(message)
        except EOFError:
            self._lose_server(server)

    def _end(self, ended: Ended) -> None:
        del self._running[ended.number]
        self._orphaned.pop(ended.number, None)
        self.slots.give_back(ended.number)
        self._ended.append(ended)

    def _start_server(self) -> ServerProcess:
        setup = Setup(
            preload=self._preload,
            arguments=tuple(sys.argv),
            grace_seconds=self._grace_seconds,
        )
        return ServerProcess(setup, environment=self.slots.threads())

    def _lose_server(self, server: ServerProcess) -> None:
        """Let go of a server that is gone: its jobs know, and are on their way out."""
        server.end()
        self._server = None  # the next job begins with another
        kill_at = time.monotonic() + self._grace_seconds
        for number in self._running:
            self._orphaned.setdefault(number, kill_at)

    def _look_after_orphans(self) -> None:
        """Tell of those that are gone, which may begin again only then; kill those that stay."""
        for number, kill_at in list(self._orphaned.items()):
            pid = self._running[number]
            if pid is None or not family_of(pid):
                self._end(Ended(number=number, signal=signal.SIGKILL))
            elif time.monotonic() >= kill_at:
                kill_family(pid)

"""A pool of the simplest kind, for tests: one forked process a job."""

import multiprocessing
import os
import sys
import time
import traceback
from pathlib import Path

import psutil

from runner.sweeps.pool import Ended, Limits, RunOfJob, Whereabouts, Work


def own_children(pid: int | None = None) -> list[psutil.Process]:
    """Return the children of a process, but for the servers that loaders of other tests left."""
    children = psutil.Process(pid).children()
    return [child for child in children if "multiprocessing" not in " ".join(child.cmdline())]


class ForkingPool:
    """Forks this process for each job; `slots` at once."""

    def __init__(self, slots: int = 2) -> None:
        self.slots = slots
        self.most_at_once = 0
        self._jobs: dict[int, multiprocessing.process.BaseProcess] = {}

    def has_room(self, slots: int = 1) -> bool:
        return len(self._jobs) + slots <= max(self.slots, slots)

    @property
    def outlives(self) -> bool:
        return False

    def adopt(self) -> set[int]:
        return set()

    def whereabouts(self, number: int) -> Whereabouts:
        return Whereabouts()

    def submit(
        self,
        number: int,
        work: Work,
        *,
        log: Path,
        slots: int = 1,
        limits: Limits | None = None,
        run: RunOfJob | None = None,
    ) -> None:
        assert number not in self._jobs
        job = multiprocessing.get_context("fork").Process(target=_do, args=(work, log))
        job.start()
        self._jobs[number] = job
        self.most_at_once = max(self.most_at_once, len(self._jobs))

    def poll(self, seconds: float) -> list[Ended]:
        deadline = time.monotonic() + seconds
        while True:
            over = [number for number, job in self._jobs.items() if job.exitcode is not None]
            if over or time.monotonic() >= deadline:
                return [_ended(number, self._jobs.pop(number)) for number in over]
            time.sleep(0.005)

    def stop(self, number: int) -> None:
        self._jobs[number].terminate()

    def kill(self, number: int) -> None:
        self._jobs[number].kill()

    def close(self) -> None:
        for job in self._jobs.values():
            job.kill()
            job.join()


def _ended(number: int, job: multiprocessing.process.BaseProcess) -> Ended:
    job.join()
    code = job.exitcode
    assert code is not None
    return Ended(number=number, signal=-code) if code < 0 else Ended(number=number, exit_code=code)


def _do(work: Work, log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)

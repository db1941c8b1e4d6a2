"""The processes that belong to a job: its own, those in its session, and their descendants.

A job leads a session of its own, which what it starts shares unless it leaves on purpose; so what
belongs to a job can be told even when the job itself is gone.
"""

import os
from contextlib import suppress

import psutil

_GIB = 1 << 30


def family_of(leader: int) -> set[psutil.Process]:
    """Return the living processes of the job whose process is, or was, `leader`."""
    family = {process for pid in psutil.pids() if (process := _in_session(pid, leader))}
    with suppress(psutil.Error):
        family.update(psutil.Process(leader).children(recursive=True))
    return {process for process in family if is_alive(process)}


def kill_family(leader: int) -> set[psutil.Process]:
    """Kill them all and return them: it takes a moment until they are gone.

    The leader goes first: it cannot tell of the others' deaths as of a failure. One that calls this
    itself goes last.
    """
    family = family_of(leader)
    me = os.getpid()
    for process in sorted(family, key=lambda member: (member.pid == me, member.pid != leader)):
        with suppress(psutil.Error):
            process.kill()
    return family


def memory_gib(leader: int) -> float:
    """Return the resident memory of a job; what its processes share counts for each."""
    total = 0
    for process in family_of(leader):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total / _GIB


def is_alive(process: psutil.Process) -> bool:
    """Return whether it runs: a process that has ended, and is not yet forgotten, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _in_session(pid: int, leader: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid) if os.getsid(pid) == leader else None
    except (OSError, psutil.Error):  # it is gone, or is none of ours
        return None

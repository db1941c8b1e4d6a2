"""The lease on a run directory: two jobs never work in one at once.

The holder writes who it is and renews a heartbeat. A lease is free when its holder's process is
gone, or when it is the same SLURM job started again. A process can be looked for only where host
name, boot and pid namespace are the holder's; any other holder, on another host, is believed dead
when its heartbeat has not moved for `patience_seconds` on the observer's own monotonic clock: no
two machines' clocks are compared. Decisions are made under a lock file, so that of two who find a
dead lease only one takes it. A holder that was silent for too long finds out at its next heartbeat
that it was replaced, and leaves everything to the other.

The same host name with another boot is this machine before it was started again, or another one
that bears its name. The machine id alone does not tell them apart: clones of a virtual machine
share it. With the same id on a local disk, which no clone has mounted, the holder ended with its
boot, and nobody waits. On a shared disk patience decides.
"""

import fcntl
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from runner.errors import Interrupted, RunError
from runner.files import write_json_atomically
from runner.runtime.signals import StopRequests

HEARTBEAT_SECONDS = 5.0
PATIENCE_SECONDS = 60.0

# Of disks that one machine alone can mount. Not "overlay": a container may be begun anew elsewhere.
_LOCAL_FILESYSTEMS = frozenset({"apfs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "xfs", "zfs"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lease; a process that is not visible from here cannot be signalled either."""

    host: str
    pid: int
    is_visible: bool


class Lease:
    """A lease held by this process, renewed by a thread until `release`.

    `on_beat` is called with each heartbeat, while no other can take the lease. When another has
    taken it nevertheless, `stop` is told to abandon the job. A signal to `stop` ends the waiting.
    """

    def __init__(self, path: Path, *, on_beat: Callable[[], None], stop: StopRequests) -> None:
        self._path = path
        self._on_beat = on_beat
        self._requests = stop
        self._holder: dict[str, Any] = {**_this_process(), "token": uuid.uuid4().hex, "beat": 0}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def acquire(
        self, *, patience_seconds: float = PATIENCE_SECONDS, silent: str | None = None
    ) -> None:
        """Take the lease, or raise RunError naming who holds it; Interrupted while waiting.

        Without patience a holder elsewhere is believed, unless its beat is still `silent`: at that
        one (see `beat_of`) it was seen to stand for long enough.
        """
        deadline = time.monotonic() + patience_seconds
        seen = _read(self._path)
        is_waiting = False
        while True:
            with _locked(self._path):
                current = _read(self._path)
                if current is None or _is_gone(current, self._path):
                    return self._take()
                if _is_visible(current):
                    raise RunError(_held_message(self._path, current))
                if current != seen:  # the heartbeat moved: alive, elsewhere
                    raise RunError(_held_message(self._path, current))
                if _beat_in(current) == silent:
                    return self._take()
                if patience_seconds <= 0:
                    raise RunError(_held_message(self._path, current))
                if time.monotonic() >= deadline:
                    return self._take()
            if not is_waiting:
                _log.info("%s", _waiting_message(self._path, current, patience_seconds))
                is_waiting = True
            time.sleep(min(1.0, patience_seconds / 10))
            if self._requests.received is not None:
                raise Interrupted(self._requests.received)

    def stop_beating(self) -> None:
        """End the heartbeat, and with it the calls of `on_beat`; the lease stays."""
        self._stop.set()
        self._thread.join()

    def release(self, last: Callable[[], None] = lambda: None) -> None:
        """Do `last` and give the lease back; do nothing if it is another's by now."""
        self.stop_beating()
        with _locked(self._path):
            if not self._is_mine(_read(self._path)):
                return
            try:
                last()
            finally:
                self._path.unlink()

    def _take(self) -> None:
        write_json_atomically(self._path, self._holder)
        self._thread.start()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            try:
                with _locked(self._path):
                    current = _read(self._path)
                    if not self._is_mine(current):
                        self._requests.abandon(_lost_message(self._path, current))
                        return
                    self._holder["beat"] += 1
                    write_json_atomically(self._path, self._holder)
                    self._on_beat()
            except OSError:  # a full disk must not end the heartbeat; the next one tries again
                continue

    def _is_mine(self, holder: dict[str, Any] | None) -> bool:
        return holder is not None and holder["token"] == self._holder["token"]


def is_held(path: Path) -> bool:
    """Return whether somebody may be behind the lease at `path`; waits for nobody's heartbeat."""
    return holder_of(path) is not None


def holder_of(path: Path) -> Holder | None:
    """Return who may be behind the lease at `path`, None if nobody is."""
    holder = _read(path)
    if holder is None or _is_gone(holder, path):
        return None
    return Holder(host=holder["host"], pid=holder["pid"], is_visible=_is_visible(holder))


@contextmanager
def kept_free(path: Path) -> Iterator[bool]:
    """Yield whether nobody holds the lease at `path`; within, nobody can take it.

    For a short act on a run that is over; it writes nothing, so that a full disk is no hurdle.
    """
    with _locked(path):
        yield not is_held(path)


def beat_of(path: Path) -> str | None:
    """Return what changes with each heartbeat of the lease at `path`; None without a lease."""
    holder = _read(path)
    return None if holder is None else _beat_in(holder)


def lock_of(path: Path) -> Path:
    """Return the lock file of the lease at `path`, which stays when the lease is given back."""
    return path.with_name(f".{path.name}.lock")


def _this_process() -> dict[str, Any]:
    process = {"pid": os.getpid(), "started": _start_time(os.getpid())}
    return {**_this_place(), **process}


def _this_place() -> dict[str, Any]:
    """Return from where this process looks at others; cheap, a sweep asks it for every run."""
    return {
        "host": socket.gethostname(),
        "machine": _machine_id(),
        "boot": _boot_id(),
        "pid_namespace": _pid_namespace(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "slurm_restarts": os.environ.get("SLURM_RESTART_COUNT", "0"),
    }


def _is_visible(holder: dict[str, Any]) -> bool:
    """Return whether the holder's process, if it lives, is among those that this one can see."""
    mine = _this_place()
    return all(holder.get(key) == mine[key] for key in ("host", "boot", "pid_namespace"))


def _is_gone(holder: dict[str, Any], path: Path) -> bool:
    mine = _this_place()
    same_job = holder["slurm_job"] is not None and holder["slurm_job"] == mine["slurm_job"]
    if same_job and holder["slurm_restarts"] != mine["slurm_restarts"]:
        return True
    if _is_visible(holder):
        return _start_time(holder["pid"]) != holder["started"]
    is_this_machine = all(holder.get(key) == mine[key] for key in ("host", "machine"))
    return is_this_machine and holder["boot"] != mine["boot"] and _is_on_local_disk(path)


def _is_on_local_disk(path: Path) -> bool:
    return _filesystem_of(path) in _LOCAL_FILESYSTEMS


def _filesystem_of(path: Path) -> str:
    """Return the type of the file system that holds `path`, "" if the system does not tell."""
    import psutil

    path, found = path.resolve(), ("", "")
    for mount in psutil.disk_partitions(all=True):
        is_inner = len(mount.mountpoint) >= len(found[0])  # of two at one place the later one holds
        if is_inner and path.is_relative_to(mount.mountpoint):
            found = (mount.mountpoint, mount.fstype)
    return found[1]


def _beat_in(holder: dict[str, Any]) -> str:
    return f"{holder['token']} {holder['beat']}"


def _held_message(path: Path, holder: dict[str, Any]) -> str:
    return (
        f"{path.parent} is in use by process {holder['pid']} on {holder['host']}: wait for it, "
        "stop it, or use another directory"
    )


def _waiting_message(path: Path, holder: dict[str, Any], seconds: float) -> str:
    return (
        f"waiting up to {seconds:g} s for a sign of life of process {holder['pid']} on "
        f"{holder['host']}, which holds {path.parent}"
    )


def _lost_message(path: Path, holder: dict[str, Any] | None) -> str:
    who = f"process {holder['pid']} on {holder['host']}" if holder else "another job"
    return (
        f"{path.parent} was taken over by {who}, since this job gave no sign of life for too long: "
        "it ends here without saving"
    )


@cache
def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux: a process id reused after a reboot is told apart by its start time
        return ""


@cache
def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux: there are none
        return ""


def _start_time(pid: int) -> str | None:
    """Return when the process started, as its system tells it, or None if there is none."""
    try:
        # The command in parentheses may hold spaces; the 22nd field counts from behind it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_of(path).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

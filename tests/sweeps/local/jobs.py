"""What the jobs of these tests do; light, since every job imports it."""

import atexit
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

SLEEPER = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


def succeed() -> int:
    return 0


def leave_with(code: object) -> int:
    raise SystemExit(code)


def raise_(error: BaseException) -> int:
    sys.stdout.write("before\n")
    raise error


def touch(path: Path) -> int:
    path.write_text(str(os.getpid()))
    return 0


def write_facts(path: Path) -> int:
    """Write what this process is like; a number proves that stdin is empty."""
    sys.stdout.write("to stdout ä\n")
    sys.stderr.write("to stderr\n")
    os.system("echo from a child")
    facts = {
        "environment": dict(os.environ),
        "session": os.getsid(0),
        "pid": os.getpid(),
        "stdin": len(sys.stdin.read()),
        "files": len(list(Path("/dev/fd").iterdir())) - 1,  # the listing itself
        "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "SIGINT": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "SIGTERM": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "SIGCHLD": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
        "SIGHUP": signal.getsignal(signal.SIGHUP) == signal.SIG_DFL,
        "random": random.random(),
        "folder": str(Path.cwd()),
        "path": sys.path,
        "modules": sorted(sys.modules),
        "number": __import__("numpy").random.rand() if "numpy.random" in sys.modules else None,
    }
    path.write_text(json.dumps(facts))
    return 0


def leave_slowly(path: Path) -> int:
    """Leave work to a thread, to atexit, to a finalizer and to a buffer."""

    def late() -> None:
        time.sleep(0.2)
        (path / "thread").touch()

    threading.Thread(target=late).start()
    atexit.register((path / "atexit").touch)
    weakref.finalize(threading, (path / "finalizer").touch)
    sys.stdout.write("last words")
    return 0


def leave_behind(ready: Path) -> int:
    """Leave on purpose a process that lives on."""
    ready.write_text(str(subprocess.Popen(SLEEPER, start_new_session=True).pid))
    return 0


def wait_for_stop(ready: Path, *, seconds: float = 0.0, code: int = 143) -> int:
    """Save when asked to stop, which takes so long, and leave."""
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.append(number))
    ready.write_text(str(os.getpid()))
    while not asked:
        time.sleep(0.005)
    time.sleep(seconds)
    ready.with_suffix(".saved").write_text(" ".join(map(str, asked)))
    return code


def never_stop(ready: Path, *, commands: int = 0) -> int:
    """Ignore SIGTERM; also what it starts lives on, one each in the ways there are."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pids = [os.getpid()]
    if commands > 0:
        pids.append(subprocess.Popen(SLEEPER, process_group=0).pid)
    if commands > 1:
        pids.append(subprocess.Popen(SLEEPER, start_new_session=True).pid)
    ready.write_text(" ".join(map(str, pids)))
    time.sleep(60)
    return 0


def grow(ready: Path, *, mib: int) -> int:
    """Let a child of this job hold so much memory."""
    code = f"import time; held = bytearray(b'x') * ({mib} << 20); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-S", "-c", code], process_group=0)
    ready.write_text(f"{os.getpid()} {child.pid}")
    time.sleep(60)
    return 0


def work_until(path: Path) -> int:
    """Work until there is such a file."""
    while not path.exists():
        time.sleep(0.005)
    return 0


def end_at(path: Path) -> int:
    time.sleep(0.3)
    path.write_text(str(time.monotonic()))
    return 0


def alive(pids: list[int]) -> list[int]:
    """Return those of `pids` that still run."""
    import psutil

    found = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


def pids_in(path: Path, *, seconds: float = 20.0) -> list[int]:
    """Wait until a job has written its process ids to `path`, and return them."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and (words := path.read_text().split()):
            return [int(word) for word in words]
        time.sleep(0.005)
    raise AssertionError(f"{path} is not there")


def gone(pids: list[int], *, seconds: float = 20.0) -> bool:
    """Return whether `pids` end within so many seconds."""
    deadline = time.monotonic() + seconds
    while alive(pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True

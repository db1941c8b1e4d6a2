"""The life of a forked job: what a fresh process would have is put in place, then it works.

It leaves as a fresh process does, threads joined and what was registered with atexit called, but
without taking the interpreter apart.
"""

import atexit
import faulthandler
import gc
import logging
import multiprocessing.util
import os
import pickle
import signal
import sys
import threading
import weakref
from typing import Any, NoReturn

from runner.errors import Interrupted
from runner.run.secrets import print_traceback
from runner.sweeps.local.family import kill_family
from runner.sweeps.local.messages import Start

_of_server: dict[Any, Any] = {}  # kept, lest it be done when nobody holds it


def live(start: Start, *, lifeline: int, grace_seconds: float) -> NoReturn:
    """Do the work of `start` in this process, which was forked for it, and leave."""
    code = 1
    try:
        _move_in(start)
        threading.Thread(target=_end_with, args=(lifeline, grace_seconds), daemon=True).start()
        # Only now: it would have been lost.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        code = _exit_code_of(start.work)
        threading._shutdown()  # type: ignore[attr-defined] # joins threads, as an interpreter does
        atexit._run_exitfuncs()
    except BaseException as error:
        code = code or 1
        print_traceback(error)
    finally:
        _flush()
        os._exit(code & 0xFF)


def _move_in(start: Start) -> None:
    os.setsid()  # no terminal reaches it, and all that it starts can be told by it
    start.log.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(start.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    for stream in (sys.stdout, sys.stderr):  # kept: handlers of loggers may hold them
        stream.reconfigure(  # type: ignore[union-attr]
            encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
    faulthandler.enable()  # a crash tells where in the log
    os.environ.clear()
    os.environ.update(start.environment)
    os.chdir(start.folder)
    sys.path[:] = start.path
    # Python's own generator does this by itself, and torch's has the same seed in every process.
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()
    _disown_server()
    gc.enable()


def _disown_server() -> None:
    """Leave to the server what importing has left to be done at its end: once is enough.

    Other than that, what a job registers itself is done at its end.
    """
    atexit._clear()
    atexit.register(logging.shutdown)
    atexit.register(multiprocessing.util._exit_function)  # type: ignore[attr-defined]
    _of_server.update(weakref.finalize._registry)  # type: ignore[attr-defined]
    weakref.finalize._registry = {}  # type: ignore[attr-defined]
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]


def _exit_code_of(work: bytes) -> int:
    """Do the work; what it raises is told as an interpreter tells it."""
    try:
        return int(pickle.loads(work)() or 0)
    except Interrupted as stop:
        return stop.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            return leaving.code or 0
        print(leaving.code, file=sys.stderr)  # noqa: T201
    except BaseException as error:
        print_traceback(error)
    return 1


def _end_with(lifeline: int, grace_seconds: float) -> None:
    """Wait until the server is gone; then ask this job to stop, and end it if it does not."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(grace_seconds)
    kill_family(os.getpid())


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # a full disk, or closed by the job
            continue

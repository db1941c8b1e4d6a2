"""One rank of several that `supervisor` started: `python -m runner.job.rank`.

It is told by stdin what to do. The other end stays open as long as the supervisor lives: when it
closes, the rank asks itself to stop, as a SIGTERM would.
"""

import gc
import os
import pickle
import signal
import sys
import threading
from typing import BinaryIO

from runner.errors import Interrupted, RunnerError
from runner.job.job import run_here
from runner.run.secrets import print_traceback
from runner.runtime.launch import launch_of
from runner.runtime.rendezvous import failure_of, reports_of_run


def main() -> int:
    """Do what stdin says and return the exit code; the supervisor tells what went wrong."""
    orders = _take_stdin()
    sys.path[:], assignment = pickle.load(orders)
    threading.Thread(target=_stop_with, args=(orders,), daemon=True).start()
    try:
        run_here(assignment)
    except Interrupted as stop:
        return stop.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        if not isinstance(error, RunnerError):
            print_traceback(error)
        return _report(error)
    return 0


def _report(error: Exception) -> int:
    """Let the supervisor know of `error`, unless it has heard what came first; return the code."""
    launch = launch_of()
    assert launch is not None
    failure = failure_of(launch.rank, error)
    reports_of_run(launch, 0).report(failure)
    return failure.exit_code


def _take_stdin() -> BinaryIO:
    """Keep stdin from this process's own children and from code that reads it."""
    orders = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return orders


def _stop_with(orders: BinaryIO) -> None:
    """Wait until the supervisor is gone."""
    orders.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    code = main()
    gc.freeze()  # else the interpreter looks for garbage before it ends, which takes a second
    sys.exit(code)

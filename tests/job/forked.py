"""A training in a process of its own, forked by a server that has torch imported already."""

import multiprocessing
from pathlib import Path

from tests.job.places import Fault, options, send
from tests.verify.jobs import PRELOADED

KILLED = -9


def train_and_die(path: Path, place: str) -> int | None:
    """Train in `path` until SIGKILL strikes in `place`; return the exit code."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_train, args=(path, place))
    process.start()
    process.join(60)
    return process.exitcode


def _train(path: Path, place: str) -> None:
    import signal

    import pytest

    from runner.run import session
    from tests.training.harness import train

    fault = Fault(place, send(signal.SIGKILL))
    with pytest.MonkeyPatch.context() as patch:
        fault.strike_in_a_save(patch)
        if place == "status":
            write = session.write_status
            patch.setattr(session, "write_status", lambda *a: (write(*a), _die_if_over(a[1])))
        train(path, options(), callbacks={"fault": fault})


def _die_if_over(status: object) -> None:
    import signal

    if getattr(status, "state", "") == "completed":
        send(signal.SIGKILL)()

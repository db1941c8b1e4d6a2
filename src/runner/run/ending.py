"""Write down how a run stands whose job could not do it, or did not know.

Each that ends a run returns whether that was written: not if a process is at work on it by now. One
on another machine is believed dead when its heartbeat has stood still for `patience_seconds`, or at
once if it still stands at `silent`, the beat at which the caller has seen it stand for that long.
"""

import logging
from dataclasses import replace

from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.lease import PATIENCE_SECONDS, Lease, kept_free
from runner.run.status import Status, read_raw_status, write_status
from runner.runtime.signals import StopRequests

_LAST_WORDS = ("failed", "cancelled", "pruned")

_log = logging.getLogger(__name__)


def give_up_run(
    directory: RunDirectory,
    error: str,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    silent: str | None = None,
) -> bool:
    """Let the run be `failed` with `error`, unless a process is at work on it."""
    return _end_run(directory, "failed", error, patience_seconds, silent)


def cancel_run(
    directory: RunDirectory,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    silent: str | None = None,
) -> bool:
    """Let the run be `cancelled`, unless a process is at work on it."""
    return _end_run(directory, "cancelled", None, patience_seconds, silent)


def interrupt_run(directory: RunDirectory) -> bool:
    """Let a run that failed be `preempted`, for another job will go on with it."""
    return _end_run(directory, "preempted", None, 0.0, None)


def requeue_run(directory: RunDirectory) -> None:
    """Take back the last word of an earlier job, before another one is started for the run.

    What the status says from then on is of the new job, even if that is killed before it can write.
    """
    if not directory.status.exists():  # nothing is to be written into a folder that is new
        return
    with kept_free(directory.lease) as is_free:
        before = read_raw_status(directory.status)
        if is_free and before is not None and before.state in _LAST_WORDS:
            write_status(directory.status, replace(before, state="queued", error=None))


def _end_run(
    directory: RunDirectory,
    state: str,
    error: str | None,
    patience_seconds: float,
    silent: str | None,
) -> bool:
    lease = Lease(directory.lease, on_beat=lambda: None, stop=StopRequests())
    try:
        lease.acquire(patience_seconds=patience_seconds, silent=silent)
    except RunError as held:
        _log.info("%s is not written down: %s", state, held)
        return False
    before = read_raw_status(directory.status) or Status(state="queued")
    lease.release(
        last=lambda: write_status(directory.status, replace(before, state=state, error=error))
    )
    return True

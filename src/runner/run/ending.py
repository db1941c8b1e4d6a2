"""Write down how a run stands whose job could not do it, or did not know."""

import logging
from dataclasses import replace

from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.lease import Lease
from runner.run.status import Status, read_raw_status, write_status
from runner.runtime.signals import StopRequests

_log = logging.getLogger(__name__)


def give_up_run(directory: RunDirectory, error: str) -> None:
    """Let the run be `failed` with `error`, unless another job is at work on it by now."""
    _end_run(directory, "failed", error)


def cancel_run(directory: RunDirectory) -> None:
    """Let the run be `cancelled`, unless another job is at work on it by now."""
    _end_run(directory, "cancelled", None)


def interrupt_run(directory: RunDirectory) -> None:
    """Let a run that failed be `preempted`, for another job will go on with it."""
    _end_run(directory, "preempted", None)


def _end_run(directory: RunDirectory, state: str, error: str | None) -> None:
    lease = Lease(directory.lease, on_beat=lambda: None, stop=StopRequests())
    try:
        lease.acquire(patience_seconds=0.0)
    except RunError as held:
        _log.warning("%s", held)
        return
    before = read_raw_status(directory.status) or Status(state="queued")
    lease.release(
        last=lambda: write_status(directory.status, replace(before, state=state, error=error))
    )

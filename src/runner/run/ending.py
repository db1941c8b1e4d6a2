"""Write down the end of a run whose job could not do it, having been killed."""

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
    lease = Lease(directory.lease, on_beat=lambda: None, stop=StopRequests())
    try:
        lease.acquire(patience_seconds=0.0)
    except RunError as held:
        _log.warning("%s", held)
        return
    before = read_raw_status(directory.status) or Status(state="queued")
    lease.release(
        last=lambda: write_status(directory.status, replace(before, state="failed", error=error))
    )

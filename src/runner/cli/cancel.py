"""`cancel`: end the jobs of a sweep or a run, on a cluster or on this machine."""

import os
import shlex
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from runner.cli.status import sentence
from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.ending import cancel_run
from runner.run.lease import holder_of
from runner.run.status import Status, read_status
from runner.sweeps.directory import SweepDirectory, is_sweep
from runner.sweeps.ledger import read_ledger
from runner.sweeps.slurm.cancelling import Cancelling
from runner.sweeps.slurm.standing import book_of
from runner.sweeps.summary import summarize

STOP_SECONDS = 120.0  # for a process here to save and leave
_TELL_SECONDS = 2.0  # after which it is said what is waited for
_LOOK_SECONDS = 0.1
_MARKED_AT_ONCE = 16  # runs, of which each waits for the disk most of its time
_UNENDED = ("queued", "running", "preempted", "lost")


@dataclass(frozen=True)
class _Ended:
    """What was cancelled: jobs of a cluster, or runs of this machine."""

    count: int
    kind: str

    def __str__(self) -> str:
        return f"{self.count} {self.kind}{'' if self.count == 1 else 's'}"


def cancel(path: Path) -> None:
    """Cancel what is at work or waits in `path`, a sweep or a run; RunError for neither."""
    book, number = book_of(path)
    if is_sweep(path):
        sweep = SweepDirectory(path)
        ended = _cancel_sweep(sweep, Cancelling(book, lease=sweep.lease))
        standing = sentence(summarize(sweep))
    else:
        run = RunDirectory(path)
        if not (run.provenance.is_file() or run.slurm.is_file()):
            raise RunError(
                f"{path} is neither a sweep (it has no sweep.json) nor a run (no run.json), so "
                "there is nothing to cancel: name the folder of one"
            )
        ended = _cancel_run(run, Cancelling(book, lease=run.lease, number=number))
        standing = f"the run is {_status(run).state}"
    if not ended.count:
        print(f"nothing to cancel: no job is at work or waits; {standing}")
        return
    print(f"cancelled {ended}; {standing}")
    print(f"to go on: python -m runner resume {shlex.quote(str(path))}")


def _cancel_sweep(sweep: SweepDirectory, jobs: Cancelling) -> _Ended:
    """Stop who watches the sweep, then its jobs."""
    runs = [sweep.job(run.number) for run in read_ledger(sweep.ledger)]
    at_work = [run for run in runs if _status(run).state == "running"]
    is_on_cluster = jobs.are_there()
    _dismiss(sweep.lease, "the sweep", is_on_cluster=is_on_cluster)
    if is_on_cluster:
        return _cancel_jobs(jobs, sweep.job)
    for run in at_work:  # of a sweep whose own process was killed
        _stop(run.lease, str(run.path))
    return _Ended(_mark(at_work), "run")


def _cancel_run(run: RunDirectory, jobs: Cancelling) -> _Ended:
    is_watched = holder_of(run.slurm_lease) is not None
    _dismiss(run.slurm_lease, "the run", is_on_cluster=jobs.are_there())
    if jobs.are_there():
        return _cancel_jobs(jobs, lambda _: run)
    if is_watched:  # its job was to be submitted
        return _Ended(_mark([run]), "run")
    parent = run.path.resolve().parent
    if is_sweep(parent) and holder_of(SweepDirectory(parent).lease) is not None:
        raise RunError(
            f"{run.path} belongs to a sweep at work, which would start it again: cancel the whole, "
            f"python -m runner cancel {shlex.quote(str(run.path.parent))}"
        )
    if holder_of(run.lease) is None:
        return _Ended(0, "run")
    _stop(run.lease, "the run")
    return _Ended(_mark([run]), "run")


def _cancel_jobs(jobs: Cancelling, directory_of: Callable[[int], RunDirectory]) -> _Ended:
    """Take jobs from the cluster and let their runs say so; RunError if some stay there."""
    jobs.begin()
    is_done = _wait(jobs.is_done, "the jobs on the cluster", seconds=STOP_SECONDS)
    gone = jobs.gone()
    _mark([directory_of(number) for number in gone])
    jobs.write_down(gone)
    ended = _Ended(len(gone) + jobs.num_unconfirmed, "job")
    if not is_done:
        raise RunError(
            f"cancelled {ended}, and others are still there {STOP_SECONDS:g} s after they were "
            "asked to save and leave: look at them with squeue, and cancel again"
        )
    return ended


def _dismiss(lease: Path, what: str, *, is_on_cluster: bool) -> None:
    """Stop who watches; from far away that cannot be, which is no hurdle for jobs of a cluster."""
    watcher = holder_of(lease)
    if watcher is not None and is_on_cluster and not watcher.is_visible:
        print(
            f"note: process {watcher.pid} on {watcher.host} watches {what} and may start what "
            "is missing of it: stop it there, too"
        )
    elif watcher is not None:
        _stop(lease, what)


def _stop(lease: Path, what: str) -> None:
    """Ask the process that holds a directory to save and leave, and see it go.

    RunError if it is not on this machine, or belongs to another user, or stays.
    """
    holder = holder_of(lease)
    if holder is None:
        return
    who = f"process {holder.pid} on {holder.host}"
    if not holder.is_visible:
        raise RunError(
            f"{what} is held by {who}, which cannot be reached from here: "
            "cancel it there, or end it with Ctrl-C"
        )
    try:
        os.kill(holder.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise RunError(f"{what} is held by {who}, which belongs to another user") from error
    if not _wait(lambda: holder_of(lease) != holder, who, seconds=STOP_SECONDS):
        raise RunError(
            f"{who} was asked to save and leave and is still there after {STOP_SECONDS:g} s: "
            f"wait for it, or kill it (what follows its last checkpoint is then done again)"
        )


def _wait(is_done: Callable[[], bool], whom: str, *, seconds: float) -> bool:
    begin, has_told = time.monotonic(), False
    while not is_done():
        waited = time.monotonic() - begin
        if waited > seconds:
            return False
        if waited > _TELL_SECONDS and not has_told:
            print(f"waiting for {whom} to save and leave")
            has_told = True
        time.sleep(_LOOK_SECONDS)
    return True


def _mark(runs: list[RunDirectory]) -> int:
    """Let those of the runs that did not reach an end of their own be cancelled."""
    ended = [run for run in runs if _status(run).state in _UNENDED]
    with ThreadPoolExecutor(_MARKED_AT_ONCE) as threads:
        list(threads.map(cancel_run, ended))
    return len(ended)


def _status(run: RunDirectory) -> Status:
    try:
        return read_status(run) or Status(state="queued")
    except (RunError, OSError) as error:  # `status` tells; it keeps no other run from its end
        return Status(state="lost", error=str(error))

"""Batches made by worker processes, or put into pinned memory: torch's DataLoader, as we need it.

Workers come from a forkserver, since other threads are alive here; they live on from epoch to
epoch, and the signals that ask the training to stop do not reach them.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import DataLoader

from runner.errors import DataError, WorkerError
from runner.runtime.signals import become_a_child, held_back_from_children

_DEATH_SECONDS = 1.0  # until a death is known that was met otherwise before


def data_loader(*arguments: Any, num_workers: int, **options: Any) -> DataLoader[Any]:
    """Return a DataLoader whose workers are ours and which leaves the random generators alone."""
    return DataLoader(
        *arguments,
        num_workers=num_workers,
        worker_init_fn=_become_a_worker,
        persistent_workers=num_workers > 0,
        multiprocessing_context=_worker_context() if num_workers else None,
        # Its own: else each iteration would take a number from the one that dropout uses.
        generator=torch.Generator(),
        **options,
    )


def batches_of(loader: DataLoader[Any]) -> Iterator[Any]:
    """Begin to iterate over `loader` now, and yield its batches.

    A DataError of a worker keeps its sentence; a worker that is gone is a WorkerError.
    """
    with held_back_from_children(), _told_plainly(loader):
        batches = iter(loader)
    return _with_plain_errors(loader, batches)


def end_workers(loader: DataLoader[Any]) -> None:
    """End the workers of `loader`, now: left to the garbage collector, each takes five seconds."""
    iterator, loader._iterator = loader._iterator, None
    if iterator is not None:
        iterator._shutdown_workers()  # type: ignore[attr-defined]


def _with_plain_errors(loader: DataLoader[Any], batches: Iterator[Any]) -> Iterator[Any]:
    with _told_plainly(loader):
        yield from batches


@contextmanager
def _told_plainly(loader: DataLoader[Any]) -> Iterator[None]:
    try:
        yield
    except DataError as error:  # of a worker: the worker's traceback is its text
        raise DataError(str(error).rpartition("DataError: ")[2].strip()) from error
    except (RuntimeError, OSError, EOFError) as error:  # as tensors of the dead come, or nothing
        deaths = _deaths_of(loader)
        if not deaths:
            raise
        raise WorkerError(deaths) from error


def _deaths_of(loader: DataLoader[Any]) -> str:
    """Return which workers are gone and why, in a sentence; nothing if all are there."""
    workers = getattr(loader._iterator, "_workers", [])
    wait([worker.sentinel for worker in workers], timeout=_DEATH_SECONDS)
    gone = [(number, worker) for number, worker in enumerate(workers) if not worker.is_alive()]
    if not gone:
        return ""
    number, worker = gone[0]
    who = f"loader worker {number + 1} of {len(workers)} (process {worker.pid})"
    if (worker.exitcode or 0) >= 0:
        return (
            f"{who} ended by itself with exit code {worker.exitcode}: what it wrote stands above; "
            "a script must start its training under `if __name__ == '__main__':`"
        )
    how = f"{who} was killed by {signal.Signals(-worker.exitcode).name}"
    if worker.exitcode == -signal.SIGKILL:
        how += ", most likely because the memory ran out"
    return (
        f"{how}: lower data.num_workers or data.batch_size, or give it more memory, and resume "
        "the run, which goes on from its last checkpoint"
    )


def _become_a_worker(_: int) -> None:
    become_a_child()
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    """End this worker when the training process is gone, however it went.

    The server that forked it would wait for its workers first, and torch watches that server.
    """
    parent.join()
    os._exit(1)


def _worker_context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])  # a worker then starts in milliseconds
    return context

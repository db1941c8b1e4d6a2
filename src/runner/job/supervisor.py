"""Starts the ranks of one run on this machine, and watches them to their end.

Each is a fresh interpreter in a process group of its own, so that a Ctrl-C reaches it once: through
the supervisor, which forwards every stop signal. Rank 0 has the terminal. When one fails or dies,
the others have GRACE_SECONDS to write down their end. The store in which the ranks meet is the
supervisor's: what one has reported outlives it.
"""

import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import IO

from runner.errors import Interrupted
from runner.job.assignment import Assignment
from runner.run.directory import RunDirectory
from runner.run.status import read_raw_status
from runner.runtime.rendezvous import Failure, FailureReports, host_store
from runner.runtime.signals import STOP_SIGNALS, StopRequests

GRACE_SECONDS = 20.0


@dataclass(frozen=True)
class _Rank:
    number: int
    process: subprocess.Popen[bytes]
    early_words: IO[bytes]  # of ranks > 0, before they write their log


def supervise(assignment: Assignment) -> float | None:
    """Do `assignment` with as many ranks as it asks for and return the best score.

    Raises what ended the run first: ConfigError, RunError, or Interrupted when it was asked to
    stop and the ranks have saved.
    """
    directory = RunDirectory(assignment.path)
    store, reports = host_store()
    ranks: list[_Rank] = []
    with _Forwarding(lambda number: _signal_all(ranks, number)) as stop:
        try:
            _start(ranks, assignment, store.port)
            if stop.received is not None:  # before all were there
                _signal_all(ranks, stop.received)
            codes = _watch(ranks, reports, stop, directory)
        finally:
            _end(ranks)
        failure = reports.first()
        if failure is not None:
            raise failure.as_error()
        interrupted = [code - 128 for code in codes if code - 128 in STOP_SIGNALS]
        if stop.received is not None or interrupted:
            stop.forward()
            raise Interrupted(stop.received or interrupted[0])
    status = read_raw_status(directory.status)
    return status.score if status else None


class _Forwarding(StopRequests):
    """Forwards each stop signal, also the second SIGINT, and remembers the last one."""

    def __init__(self, forward: Callable[[int], None]) -> None:
        super().__init__()
        self._send = forward

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._frame = frame
        self._send(number)


def _start(ranks: list[_Rank], assignment: Assignment, port: int) -> None:
    count = assignment.config.hardware.num_processes
    orders = pickle.dumps((sys.path, assignment))
    # Where this process does not look first where it stands, its ranks do not either.
    flags = ["-P"] if sys.flags.safe_path else []
    for number in range(count):
        early_words = tempfile.TemporaryFile()  # noqa: SIM115 - closed with its rank
        output = None if number == 0 else early_words
        process = subprocess.Popen(
            [sys.executable, *flags, "-m", "runner.job.rank"],
            env=_environment(number, count, port),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            process_group=0,
        )
        ranks.append(_Rank(number, process, early_words))
    for rank in ranks:
        assert rank.process.stdin is not None
        with suppress(BrokenPipeError):  # it is dead already: told by its exit code
            rank.process.stdin.write(orders)
            rank.process.stdin.flush()


def _environment(number: int, count: int, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        # Of a supervisor that is gone; the ranks tell what matters themselves.
        "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
    }


def _watch(
    ranks: Sequence[_Rank], reports: FailureReports, stop: StopRequests, directory: RunDirectory
) -> list[int]:
    """Wait until all ranks have ended and return their exit codes; kill those that cannot."""
    ended: queue.SimpleQueue[_Rank] = queue.SimpleQueue()
    for rank in ranks:
        threading.Thread(target=lambda rank=rank: ended.put(_waited(rank)), daemon=True).start()
    deadline: float | None = None
    for _ in ranks:
        try:
            rank = ended.get(timeout=None if deadline is None else deadline - time.monotonic())
        except (queue.Empty, ValueError):
            _signal_all(ranks, signal.SIGKILL)
            rank = ended.get()
        if deadline is None and _has_failed(rank, stop):
            reports.report(_failure_of(rank, directory))
            deadline = time.monotonic() + GRACE_SECONDS
    return [rank.process.returncode for rank in ranks]


def _waited(rank: _Rank) -> _Rank:
    rank.process.wait()
    return rank


def _has_failed(rank: _Rank, stop: StopRequests) -> bool:
    """Return whether a rank has ended otherwise than by its work or the stop it was asked for."""
    code = rank.process.returncode
    if code < 0:  # before it could listen to signals it is ended by them
        return stop.received is None or code != -stop.received
    return code != 0 and code - 128 not in STOP_SIGNALS


def _failure_of(rank: _Rank, directory: RunDirectory) -> Failure:
    """Return what to tell of a rank that has told nothing itself."""
    code, number = rank.process.returncode, rank.number
    if code < 0:
        how = f"was killed by signal {-code} ({signal.Signals(-code).name})"
    else:
        how = f"ended with exit code {code}"
    rank.early_words.seek(0)
    words = rank.early_words.read().decode(errors="replace").strip()
    log = directory.log_of_rank(number)
    if words:
        more = f":\n{words}"
    else:
        more = f"; its log is logs/{log.name}" if log.exists() else ", before it began"
    return Failure(number, f"rank {number} {how}{more}", is_told=True)


def _signal_all(ranks: Sequence[_Rank], number: int) -> None:
    for rank in ranks:
        rank.process.send_signal(number)


def _end(ranks: Sequence[_Rank]) -> None:
    """Leave nobody behind, whatever ended the watch."""
    for rank in ranks:
        if rank.process.poll() is None:
            rank.process.kill()
            rank.process.wait()
        assert rank.process.stdin is not None
        with suppress(BrokenPipeError):
            rank.process.stdin.close()
        rank.early_words.close()

"""Where the ranks of one run find one another: a store of small texts, beside all collectives.

The supervisor, torchrun or rank 0 hosts it. What is told here reaches the others also when no
collective can run any more: which rank failed first, and why.
"""

import itertools
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import NamedTuple

from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]
from torch.distributed.distributed_c10d import PrefixStore, Store

from runner.errors import ConfigError, Interrupted, RunError, RunnerError
from runner.runtime.launch import Launch
from runner.runtime.signals import StopRequests

START_SECONDS = 600.0  # for nodes that start late, or read their software over a slow network
_POLL_SECONDS = 0.02
_ARRIVED, _FAILURE, _SPOKEN = "arrived", "failure", "spoken"
_numbers = itertools.count()
_stamps = itertools.count()


class Failure(NamedTuple):
    """Why a rank ended: its error, and the exit code that the command line gives it.

    An error that `is_told` in a sentence needs no more words; of another the type and the message
    are known, and the log of the rank has the traceback.
    """

    rank: int
    error: str
    exit_code: int = 1
    is_told: bool = False

    @property
    def sentence(self) -> str:
        if self.is_told:
            return self.error
        log = f"logs/rank_{self.rank}.log"
        return f"rank {self.rank} failed: {self.error}; its traceback is in {log}"

    def as_error(self) -> RunnerError:
        """Return the error that tells of it on another rank, or by the supervisor."""
        if self.exit_code == ConfigError.exit_code:
            return ConfigError(*self.error.split("\n"))
        return RunError(self.sentence)


def failure_of(rank: int, error: Exception) -> Failure:
    """Return what to tell the others of `error` on `rank`."""
    if isinstance(error, RunnerError):
        return Failure(rank, str(error), error.exit_code, is_told=True)
    return Failure(rank, f"{type(error).__name__}: {error}")


class FailureReports:
    """The first failure of any rank: the first report stands. A store that is gone says nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def report(self, failure: Failure) -> None:
        """Tell the others of `failure`, unless another one was there before."""
        try:
            self._store.compare_set(_FAILURE, "", json.dumps(failure))
        except DistError:
            return

    def first(self) -> Failure | None:
        """Return the failure that was reported first, if there is any."""
        try:
            if not self._store.check([_FAILURE]):
                return None
            return Failure(*json.loads(self._store.get(_FAILURE)))
        except DistError:
            return None

    def wait_for_first(self, seconds: float) -> Failure | None:
        """Return the first failure as soon as it is known, or None after `seconds`."""
        deadline = time.monotonic() + seconds
        while (failure := self.first()) is None and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return failure


def host_store() -> tuple[TCPStore, FailureReports]:
    """Open a store on a free port for the ranks of one run; and what they report in it."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    return store, FailureReports(PrefixStore(_prefix(0), store))


def open_run(launch: Launch) -> tuple[Store, FailureReports]:
    """Return what the next run of the ranks of `launch` has to itself: store and reports.

    The reports have a connection of their own: who waits in a store keeps others from using it.
    """
    number = next(_numbers)
    store = PrefixStore(_prefix(number), _connected(launch))
    return store, reports_of_run(launch, number)


def reports_of_run(launch: Launch, number: int) -> FailureReports:
    """Return the reports of the run that is `number` of those of this process."""
    return FailureReports(PrefixStore(_prefix(number), _connect(launch, is_host=False)))


def wait_for_all(
    store: Store, reports: FailureReports, launch: Launch, stop: StopRequests | None
) -> None:
    """Wait until every rank is here; RunError when one failed before, Interrupted on a stop."""
    deadline = time.monotonic() + START_SECONDS
    store.add(_ARRIVED, 1)
    while (arrived := store.add(_ARRIVED, 0)) < launch.count:
        if (failure := reports.first()) is not None:
            raise RunError(failure.sentence)
        if stop is not None and stop.received is not None:
            raise Interrupted(stop.received)
        if time.monotonic() > deadline:
            raise RunError(
                f"only {arrived} of {launch.count} ranks came to {launch.host}:{launch.port} "
                f"within {START_SECONDS:g} s"
            )
        time.sleep(_POLL_SECONDS)


def agreed(launch: Launch | None, make: Callable[[], str]) -> str:
    """Return, on every rank, what `make` gives on rank 0; before the ranks have joined."""
    if launch is None:
        return make()
    store = PrefixStore(_prefix("agreed"), _connected(launch))
    key = str(next(_stamps))
    if launch.rank == 0:
        store.set(key, make())
    store.wait([key], timedelta(seconds=START_SECONDS))
    return store.get(key).decode()


def rank_0_has_spoken(launch: Launch) -> None:
    """Let the others know that the user was told what is wrong."""
    with suppress(DistError, RunError):
        PrefixStore(_prefix("spoken"), _connected(launch)).set(_SPOKEN, "")


def has_rank_0_spoken(launch: Launch, *, seconds: float = 10.0) -> bool:
    """Wait up to `seconds` until rank 0 has told the user what is wrong; return whether it has."""
    try:
        store = PrefixStore(_prefix("spoken"), _connected(launch))
        store.wait([_SPOKEN], timedelta(seconds=seconds))
    except (DistError, RunError):  # rank 0 has left, and if it was the host, the store with it
        return launch.hosts_store
    return True


def _prefix(part: object) -> str:
    # torchrun starts all ranks again after a failure, with the same store.
    return f"runner/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{part}"


@cache  # rank 0 may be the host: then the store lives as long as its process
def _connected(launch: Launch) -> TCPStore:
    return _connect(launch, is_host=launch.hosts_store and launch.rank == 0)


def _connect(launch: Launch, *, is_host: bool) -> TCPStore:
    try:
        return TCPStore(
            launch.host,
            launch.port,
            is_master=is_host,
            timeout=timedelta(seconds=START_SECONDS),
            wait_for_workers=False,
            multi_tenant=True,
        )
    except DistError as error:
        raise RunError(
            f"rank {launch.rank} cannot meet the others at {launch.host}:{launch.port}: "
            f"{str(error).splitlines()[0]}"
        ) from error

"""What a sweep asks of the place where its jobs run: `Pool`, and how a job ended there.

A job is a picklable callable that returns its exit code; a pool knows nothing else about it. What
came of a run stands in the run's own directory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Work = Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a job may use before its pool ends it; None: as much as there is."""

    seconds: float | None = None  # then it is asked to stop (SIGTERM), later killed
    memory_gib: float | None = None  # resident, of the job and its children; then it is killed


@dataclass(frozen=True, kw_only=True)
class RunOfJob:
    """The run that a job trains, for pools that read from it what the job needs."""

    directory: Path
    config: Mapping[str, Any] = field(repr=False)  # frozen


@dataclass(frozen=True, kw_only=True)
class Whereabouts:
    """Where a job is: "node3", or why it waits: "Priority"; "" where there is one place only."""

    text: str = ""
    is_waiting: bool = False  # in the queue of a cluster
    is_there: bool = True  # else the cluster has not taken it yet
    is_back: bool = False  # it waits again, having been at work


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the process of a job ended; of `exit_code` and `signal` one is set."""

    number: int
    exit_code: int | None = None
    signal: int | None = None  # by which it was killed
    exceeded: str | None = None  # the limit for which the pool ended it: "time" or "memory"
    is_cancelled: bool = False  # by a person
    refusal: str | None = None  # why it was never taken, in a sentence; another one would not be
    log: Path | None = None  # where its last words are, if not in the log it was given


@dataclass(frozen=True, kw_only=True)
class Home:
    """Where a pool whose jobs outlive it keeps what the next one has to know."""

    name: str  # of what its jobs belong to
    book: Path
    folder: Path
    is_search: bool = False  # jobs come one after the other, as others have ended


class Pool(Protocol):
    """Starts jobs, tells how they ended, and asks them to stop."""

    @property
    def outlives(self) -> bool:
        """Return whether jobs live on when this process ends."""
        ...

    def adopt(self) -> set[int]:
        """Take over the jobs that an earlier process has left at work; return their numbers."""
        ...

    def has_room(self, slots: int = 1) -> bool:
        """Return whether a job that needs `slots` would begin at once."""
        ...

    def submit(
        self,
        number: int,
        work: Work,
        *,
        log: Path,
        slots: int = 1,
        limits: Limits | None = None,
        run: RunOfJob | None = None,
    ) -> None:
        """Start `work` under a `number` that no running job has; its output is appended to `log`.

        `slots` is how many slots it takes (the ranks of a run with several).
        """
        ...

    def whereabouts(self, number: int) -> Whereabouts:
        """Return where a job is."""
        ...

    def poll(self, seconds: float) -> list[Ended]:
        """Return the jobs that have ended since the last call; wait up to `seconds` for one."""
        ...

    def stop(self, number: int) -> None:
        """Ask a running job to save and leave (SIGTERM); a job that has ended is left alone."""
        ...

    def kill(self, number: int) -> None:
        """End a running job at once."""
        ...

    def close(self) -> None:
        """Stop what still runs, wait for it within the grace time, kill the rest, and leave.

        A pool whose jobs outlive it leaves them alone.
        """
        ...

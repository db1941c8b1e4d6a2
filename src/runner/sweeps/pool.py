"""What a sweep asks of the place where its jobs run: `Pool`, and how a job ended there.

A job is a picklable callable that returns its exit code; a pool knows nothing else about it. What
came of a run stands in the run's own directory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Work = Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a job may use before its pool ends it; None: as much as there is."""

    seconds: float | None = None  # then it is asked to stop (SIGTERM), later killed
    memory_gib: float | None = None  # resident, of the job and its children; then it is killed


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the process of a job ended; of `exit_code` and `signal` one is set."""

    number: int
    exit_code: int | None = None
    signal: int | None = None  # by which it was killed
    exceeded: str | None = None  # the limit for which the pool ended it: "time" or "memory"


class Pool(Protocol):
    """Starts jobs, tells how they ended, and asks them to stop."""

    def has_room(self, slots: int = 1) -> bool:
        """Return whether a job that needs `slots` would begin at once."""
        ...

    def submit(
        self, number: int, work: Work, *, log: Path, slots: int = 1, limits: Limits | None = None
    ) -> None:
        """Start `work` under a `number` that no running job has; its output is appended to `log`.

        `slots` is how many slots it takes (the ranks of a run with several).
        """
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
        """Stop what still runs, wait for it within the grace time, kill the rest, and leave."""
        ...

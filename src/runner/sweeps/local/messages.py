"""What the pool and its server say to each other, over a socket that both ends read in order.

The pool: `Setup` once, then `Start` and `Signal`. The server: `Started`, later `Ended` of pool.py.
When the pool's end closes, however that came, the server stops its jobs and leaves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.sweeps.pool import Limits


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the server is told first."""

    preload: tuple[str, ...]  # modules to import
    arguments: tuple[str, ...]  # sys.argv of the pool's process, which the jobs see as theirs
    grace_seconds: float  # between asked to stop and killed


@dataclass(frozen=True, kw_only=True)
class Start:
    """A job to begin now."""

    number: int
    work: bytes = field(repr=False)  # pickled; the job alone unpickles it
    log: Path
    environment: Mapping[str, str] = field(repr=False)
    folder: str  # where it stands
    path: tuple[str, ...]  # sys.path
    limits: Limits


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A signal for a running job: SIGTERM asks its process alone, SIGKILL is for all of it."""

    number: int
    signal: int


@dataclass(frozen=True, kw_only=True)
class Started:
    """A job has this process now."""

    number: int
    pid: int


Order = Setup | Start | Signal

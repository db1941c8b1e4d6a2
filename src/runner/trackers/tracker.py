"""`Tracker`: a mirror of a run's journal elsewhere; it never blocks, fails or changes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from runner.run.directory import RunDirectory


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """What a tracker is told about a run; the values themselves it reads from the journal.

    `parameters` is the config as plain containers, as nested as it likes, with what environment
    variables stand for left unresolved: trackers store it as it is. `settings` is the part of it
    that describes the tracker itself, empty for one that was made in Python; `tracker` is the name
    under which the run has it, and under which it remembers what it has delivered. `delivered_to`
    are servers to which a sweep delivers for its jobs, so that their trackers need not, each by how
    the config writes its address. `sweep` is the directory of the sweep that the run belongs to: a
    tracker that delivers by itself shows the run below that.
    """

    directory: RunDirectory
    name: str
    tracker: str = "tracker"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    delivered_to: Mapping[str, str] = field(default_factory=dict)
    sweep: RunDirectory | None = None


@dataclass(frozen=True, kw_only=True)
class Synced:
    """What a tracker had of a run or a sweep, in rows of the journal, and what it was given now."""

    place: str  # where it shows the run: "MLflow at http://server:5000"
    there: int = 0
    new: int = 0
    has_told: bool = False  # something beside rows: the end, files, how it is nested
    note: str = ""  # why another process delivers it
    problem: str = ""  # why not all arrived: one sentence


@runtime_checkable
class LateTracker(Protocol):
    """A tracker that can be fed when the job is gone: by `python -m runner sync`."""

    def place(self, run: TrackedRun) -> str:
        """Return where it shows `run`, as a user calls that; no server is asked."""
        ...

    def sync(self, run: TrackedRun, state: str, model_files: Sequence[Path] = ()) -> Synced:
        """Deliver, within a bounded time, what is in the journal and not there; each value once.

        `state` is that of the run, `running` too: then its end is not told.
        """
        ...


class Tracker(Protocol):
    """Told when a run starts and ends; on rank 0 only."""

    def start(self, run: TrackedRun) -> None:
        """Begin to follow the journal of `run`, or go on after a resume; return at once."""
        ...

    def finish(self, state: str, model_files: Sequence[Path] = ()) -> None:
        """Deliver what is missing, within a bounded time, and close.

        `state` is the run's own word (completed, preempted, failed, cancelled, pruned);
        `model_files` are files or directories of the final model. A fault of the server is one
        logged warning.
        """
        ...

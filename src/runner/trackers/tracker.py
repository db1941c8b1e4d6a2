"""`Tracker`: a mirror of a run's journal elsewhere; it never blocks, fails or changes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from runner.run.directory import RunDirectory


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """What a tracker is told about a run; the values themselves it reads from the journal.

    `parameters` is the config as plain containers, as nested as it likes, with what environment
    variables stand for left unresolved: trackers store it as it is. `settings` is the part of it
    that describes the tracker itself, empty for one that was made in Python; `tracker` is the name
    under which the run has it, and under which it remembers what it has delivered. `delivered_to`
    are servers to which a sweep delivers for its jobs, so that their trackers need not, each by how
    the config writes its address.
    """

    directory: RunDirectory
    name: str
    tracker: str = "tracker"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    delivered_to: Mapping[str, str] = field(default_factory=dict)


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

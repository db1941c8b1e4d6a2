"""What a job is to do, as plain data that travels to the ranks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.config.run_config import RunConfig
from runner.sweeps.search.pruning import Pruning


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One config to be trained in one directory."""

    config: RunConfig
    path: Path
    overrides: list[str]
    command: list[str]
    continue_completed: bool = False
    pruning: Pruning | None = None  # of a run of a search
    delivered_to: Mapping[str, str] = field(default_factory=dict)  # see TrackedRun

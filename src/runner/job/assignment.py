"""What a job is to do, as plain data that travels to the ranks."""

from dataclasses import dataclass
from pathlib import Path

from runner.config.run_config import RunConfig


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One config to be trained in one directory."""

    config: RunConfig
    path: Path
    overrides: list[str]
    command: list[str]
    continue_completed: bool = False

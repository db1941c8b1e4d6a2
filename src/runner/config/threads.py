"""The number of CPU threads, which changes the bits: a run keeps the one it was begun with."""

import os
from collections.abc import Mapping
from pathlib import Path

from runner.config.written import read_config


def threads_of_run(config: Path) -> int | None:
    """Return hardware.threads of the run whose config lies at `config`, None without such a run."""
    if not config.is_file():
        return None
    hardware = read_config(config).get("hardware")
    return hardware.get("threads") if isinstance(hardware, Mapping) else None


def available_threads(num_ranks: int = 1) -> int:
    """Return how many CPU threads each of `num_ranks` processes on this machine may use."""
    return max(1, _available() // num_ranks)


def _available() -> int:
    """Return how many torch would use: OMP_NUM_THREADS, else the usable cores."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

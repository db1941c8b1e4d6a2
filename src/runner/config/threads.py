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
    """Return how many torch would use: OMP_NUM_THREADS, else the usable cores.

    Those of a task of SLURM are what it asked for, also where the cluster does not enforce it.
    """
    if (named := _number("OMP_NUM_THREADS")) is not None:
        return named
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return min(cores, _number("SLURM_CPUS_PER_TASK") or cores)


def _number(variable: str) -> int | None:
    text = os.environ.get(variable, "")
    return int(text) if text.isdigit() and int(text) > 0 else None

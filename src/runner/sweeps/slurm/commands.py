"""How Slurm's commands are called: in an environment that changes nothing about them."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

# Of the allocation in which this process may run, and what users set to have a command ask for or
# show something else: a job's config says what it asks for. The cluster, and who one is, stay.
_CHANGES = re.compile(r"(SLURM_(?!CONF$|JWT$)|(SBATCH|SRUN|SQUEUE|SACCT|SCANCEL|SINFO|SCONTROL)_)")

# What its words mean. Full: a job of this user is not taken now; later it may be.
_FULL = (
    *("job submit limit", "SubmitJob", "MaxJobCount", "controller table is full"),
    *("Resource temporarily unavailable", "temporarily un"),
)
# Silent: nobody knows whether it has heard.
_SILENT = (
    *("contact slurm controller", "timed out", "onnection refused", "Transport endpoint"),
    *("Zero Bytes were transmitted", "Communication connection failure", "standby mode"),
    "process configuration",
)


def is_full(words: str) -> bool:
    """Return whether Slurm, which said `words`, takes no more jobs for now."""
    return any(each in words for each in _FULL)


def is_silent(words: str) -> bool:
    """Return whether `words` say that Slurm gave no answer."""
    return any(each in words for each in _SILENT)


def plain_environment() -> dict[str, str]:
    """Return the environment for a command whose answer is read."""
    kept = {key: value for key, value in os.environ.items() if not _CHANGES.match(key)}
    return {**kept, "LC_ALL": "C", "SLURM_BITSTR_LEN": "0"}


@contextmanager
def submitting() -> Iterator[None]:
    """Let jobs be submitted as a login shell would: a job gets the environment of its submitter."""
    changes = {key: os.environ.pop(key) for key in list(os.environ) if _CHANGES.match(key)}
    try:
        yield
    finally:
        os.environ.update(changes)


def default_of_user(option: str) -> str | None:
    """Return what the user wants of all jobs that do not say otherwise: SBATCH_PARTITION, ..."""
    return os.environ.get(f"SBATCH_{option.upper()}") or None

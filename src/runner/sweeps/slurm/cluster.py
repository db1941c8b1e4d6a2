"""What the cluster allows, asked of Slurm's own commands; what it says is remembered."""

import os
import re
import subprocess
from collections.abc import Sequence
from functools import cache

from runner.errors import RunError
from runner.sweeps.slurm.commands import plain_environment

_TIMEOUT_SECONDS = 30.0
_DEFAULT_ARRAY_SIZE = 1001  # Slurm's own
_UNLIMITED = ("UNLIMITED", "NONE", "INFINITE", "N/A", "")


def max_array_size() -> int:
    """Return how many jobs one array may have: numbers from 0 to one below it."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"), re.M)
    return int(found[1]) if found else _DEFAULT_ARRAY_SIZE


def time_limit_minutes(partition: str | None = None) -> int | None:
    """Return the limit of a job that gives none itself: of several partitions the least.

    None stands for no limit, and for a partition that is not there. `partition` may name several,
    with commas; None is the cluster's default.
    """
    known = partitions()
    names = (
        partition.split(",")
        if partition
        else [name for name, facts in known.items() if facts.get("Default") == "YES"]
    )
    found = (_limit(known[name]) for name in names if name in known)
    return min((limit for limit in found if limit is not None), default=None)


def partitions() -> dict[str, dict[str, str]]:
    """Return what Slurm says of each partition, by name."""
    lines = _ask("scontrol", "show", "partition", "--oneliner").splitlines()
    facts = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
    return {each["PartitionName"]: each for each in facts if "PartitionName" in each}


def has_gpus() -> bool:
    """Return whether any node has a GPU that jobs may ask for."""
    return "gpu" in _ask("sinfo", "--noheader", "--format=%G")


def call(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Return what a command of Slurm answers; RunError if it is not there, or gives no answer."""
    try:
        return subprocess.run(
            command,
            env=plain_environment(),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise RunError(
            f"there is no {command[0]} on this machine: log in to the cluster"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise RunError(
            f"{command[0]} gave no answer for {_TIMEOUT_SECONDS:g} s: try again later"
        ) from error


def words_of(stderr: str) -> str:
    """Return the words of Slurm without its prefixes, each sentence once."""
    lines = [re.sub(r"^(\w+: )?(error|fatal): ", "", line) for line in stderr.splitlines()]
    lines = [re.sub(r"^(sbatch|allocation failure): ", "", line).strip() for line in lines]
    lines = [line for line in lines if line and not line.startswith("Try ")]
    return "; ".join(dict.fromkeys(lines)) or "it gave no reason"


def _limit(facts: dict[str, str]) -> int | None:
    """Return the default time of a partition, else its longest."""
    for name in ("DefaultTime", "MaxTime"):
        if facts.get(name, "") not in _UNLIMITED:
            return _minutes(facts[name])
    return None


def _minutes(text: str) -> int:
    """Return the minutes of a time as scontrol writes it: [days-]hours:minutes:seconds."""
    days, _, clock = text.rpartition("-")
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return int(days or 0) * 1440 + hours * 60 + minutes + (seconds > 0)


def _ask(*command: str) -> str:
    return _answer(command, os.environ.get("SLURM_CONF"))


@cache
def _answer(command: tuple[str, ...], _: str | None) -> str:
    """Return what a command says of the cluster of these settings."""
    answer = call(command)
    if answer.returncode != 0:
        raise RunError(f"{command[0]} failed ({words_of(answer.stderr)}): is the cluster up?")
    return answer.stdout

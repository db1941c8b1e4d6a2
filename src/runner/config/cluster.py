"""What a run asks of a SLURM cluster: the node `hardware.slurm` of the config.

It counts with `hydra/launcher=slurm` alone; anywhere else it has no effect.
"""

import re
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from runner.config.checks import at_least, refuse
from runner.config.duration import SECONDS_PER_UNIT, parse
from runner.errors import ConfigError

# Options of sbatch that have a key of their own, and those that runner needs for itself.
_NAMED = {
    "nodes": "nodes",
    "ntasks": "tasks_per_node",
    "ntasks-per-node": "tasks_per_node",
    "cpus-per-task": "cpus_per_task",
    "gpus-per-node": "gpus_per_node",
    "mem": "memory_gb",
    "time": "time_limit",
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "constraint": "constraint",
}
_OWN = (
    *("array", "output", "error", "open-mode", "signal"),
    *("wrap", "wait", "parsable", "test-only", "quiet"),
    "job-name",  # by which jobs are found whose ids are not known
    "clusters",  # squeue and scancel ask this one alone
    *("export", "export-file"),  # a job has the environment of who submits it
    "chdir",  # so has it the folder, from which relative paths count
)
_OWN_OF_SRUN = r"(-[onNKc].*|--(output|error|ntasks|nodes|kill-on-bad-exit|cpus-per-task)(=.*)?)"
# days-hours[:minutes[:seconds]], hours:minutes:seconds or minutes:seconds
_DAYS = r"(?P<days>\d+)-(?P<hours>\d+)(:(?P<minutes>\d+)(:(?P<seconds>\d+))?)?"
_CLOCK = r"((?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)"


@dataclass(frozen=True, kw_only=True)
class SlurmOptions:
    """What each job asks of the cluster; only with `hydra/launcher=slurm`."""

    nodes: int = 1
    tasks_per_node: int | None = None  # ranks on each node; null: hardware.num_processes / nodes
    # A number, or a100:2. null: with hardware.device=cuda one for each task, else none.
    gpus_per_node: int | str | None = None
    cpus_per_task: int | None = None  # null: hardware.threads (open: 1) + data.num_workers
    memory_gb: float | None = None  # of each node; null: what the cluster gives
    time_limit: str | int | None = None  # "4 hours" or "1-12:00:00"; null: the partition's default
    partition: str | None = None  # null: the cluster's default, as for all below
    account: str | int | None = None
    qos: str | None = None
    constraint: str | None = None  # on the features of nodes
    sbatch: dict[str, Any] | None = None  # further options of sbatch: {exclude: node3}
    srun: list[str] = field(default_factory=list)  # further arguments of srun: [--mpi=pmix]
    setup: list[str] = field(default_factory=list)  # lines of the shell before it: [module load x]

    def __post_init__(self) -> None:
        key = "hardware.slurm"
        refuse(
            at_least(f"{key}.nodes", self.nodes, 1),
            at_least(f"{key}.tasks_per_node", self.tasks_per_node, 1),
            _is_gpus(f"{key}.gpus_per_node", self.gpus_per_node),
            at_least(f"{key}.cpus_per_task", self.cpus_per_task, 1),
            # Less than a whole MB is 0, which Slurm takes for all that a node has.
            at_least(f"{key}.memory_gb", self.memory_gb, 0.001, "null: what the cluster gives"),
            _is_time_limit(f"{key}.time_limit", self.time_limit),
            *(
                _is_word(f"{key}.{name}", getattr(self, name))
                for name in ("partition", "account", "qos", "constraint")
            ),
            *(_is_option(f"{key}.sbatch", *item) for item in (self.sbatch or {}).items()),
            *(_is_argument(f"{key}.srun", argument) for argument in self.srun),
        )

    @property
    def time_minutes(self) -> int | None:
        """Return the time limit in whole minutes, rounded up; None where none is given."""
        return None if self.time_limit is None else minutes_of(str(self.time_limit))


def minutes_of(text: str) -> int:
    """Return the whole minutes, rounded up, of a time such as "4 hours", "2 days" or "1-12:00:00".

    Raises ConfigError for anything else.
    """
    match = re.fullmatch(_DAYS, text) or re.fullmatch(_CLOCK, text)
    if match is None:
        return ceil(parse(text, units=tuple(SECONDS_PER_UNIT)).seconds / 60)
    parts = {name: int(value or 0) for name, value in match.groupdict().items()}
    hours = 24 * parts.get("days", 0) + parts["hours"]
    seconds = 3600 * hours + 60 * parts["minutes"] + parts["seconds"]
    if not seconds:
        raise ConfigError(f"'{text}' must be more than nothing")
    return ceil(seconds / 60)


def gpus_in(asked: int | str) -> int:
    """Return how many GPUs `gpus_per_node` means: "a100:2" are two, "a100" is one."""
    number = str(asked).rpartition(":")[2]
    return int(number) if number.isdigit() else 1


def _is_gpus(key: str, value: int | str | None) -> str | None:
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z][\w.-]*(:[1-9]\d*)?|\d+", value):
        return f"{key} must be a number, or a kind and a number such as a100:2, got '{value}'"
    return at_least(key, value, 0, "0: none") if isinstance(value, int) else None


def _is_time_limit(key: str, value: str | int | None) -> str | None:
    if isinstance(value, int):  # YAML reads 12:00:00 without quotes as a number
        return f"{key} must be a text in quotes such as '4 hours' or '1-12:00:00', got {value}"
    try:
        if value is not None:
            minutes_of(value)
    except ConfigError as error:
        return f"{key}: {error} (or as Slurm writes it: '1-12:00:00')"
    return None


def _is_word(key: str, value: object) -> str | None:
    if value is None or re.fullmatch(r"\S+", str(value)):
        return None
    return f"{key} must be a name without spaces, got {value!r} (null: the cluster's default)"


def _is_option(key: str, name: str, value: object) -> str | None:
    """Check one further option of sbatch; a list is written with commas."""
    option = str(name).replace("_", "-")
    if option in _NAMED:
        return f"{key}.{name} has a key of its own: hardware.slurm.{_NAMED[option]}"
    if option in _OWN:
        return f"{key}.{name} is what runner sets itself: leave it out"
    if not re.fullmatch(r"[a-z][a-z0-9]+(-[a-z0-9]+)*", option):
        return f"{key}.{name} is no long option of sbatch: write exclude for --exclude"
    values = value if isinstance(value, list) else [value]
    if not all(each is None or isinstance(each, str | int | float) for each in values):
        return f"{key}.{name} must be a text, a number, true, false or a list, got {value!r}"
    return None


def _is_argument(key: str, argument: str) -> str | None:
    if re.fullmatch(_OWN_OF_SRUN, argument):
        return f"{key}: {argument} is what runner sets itself: leave it out"
    return None if argument else f"{key} holds an empty argument: leave it out"

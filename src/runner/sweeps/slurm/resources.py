"""`Resources`: what the config of a run asks of the cluster, as parameters of submitit.

Jobs with equal resources go into one array, so they can be hashed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.config.asked import hardware_of
from runner.config.cluster import SlurmOptions, gpus_in
from runner.config.options import HardwareOptions
from runner.errors import ConfigError
from runner.sweeps.slurm.cluster import time_limit_minutes
from runner.sweeps.slurm.commands import default_of_user

WARNING_SECONDS = 120
# Asked for where a partition has no limit: submitit must be told one, and jobs run until they end.
_ENDLESS_MINUTES = 365 * 24 * 60
# Where a job goes, and at whose cost, a user may have set for all: SBATCH_PARTITION, ...
_PLACE = ("partition", "account", "qos", "constraint")
_GPU_OPTIONS = ("gpus", "gpus-per-task", "gres")  # of sbatch: with one of them none is added

Option = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a job asks for; None leaves it to the cluster."""

    nodes: int = 1
    tasks_per_node: int = 1
    cpus_per_task: int = 1
    gpus_per_node: int | str | None = None
    memory_gb: float | None = None  # of each node
    time_minutes: int | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    sbatch: tuple[tuple[str, Option], ...] = ()  # further options, sorted
    srun: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()

    @property
    def num_tasks(self) -> int:
        """Return how many ranks the run has."""
        return self.nodes * self.tasks_per_node

    @property
    def has_gpus(self) -> bool:
        """Return whether a job has GPUs, however they are asked for."""
        return bool(self.gpus_per_node) or any(name in _GPU_OPTIONS for name, _ in self.sbatch)

    def parameters(self, *, warning_seconds: float = WARNING_SECONDS) -> dict[str, Any]:
        """Return the parameters for submitit's SlurmExecutor.

        So many seconds before its time limit the job is warned, at most half of its time. Where it
        goes is, if it does not say, what the user's SBATCH_PARTITION and the like say. Raises
        RunError if the cluster, which knows the limits of its partitions, cannot be asked.
        """
        place = {name: getattr(self, name) or default_of_user(name) for name in _PLACE}
        minutes = self.time_minutes or time_limit_minutes(place["partition"]) or _ENDLESS_MINUTES
        asked = {
            "gpus_per_node": self.gpus_per_node,
            "mem": None if self.memory_gb is None else f"{round(self.memory_gb * 1024)}M",
            **place,
            "setup": list(self.setup) or None,
        }
        return {
            "nodes": self.nodes,
            "ntasks_per_node": self.tasks_per_node,
            "cpus_per_task": self.cpus_per_task,
            "time": minutes,
            **{name: value for name, value in asked.items() if value is not None},
            "signal_delay_s": int(min(warning_seconds, 30 * minutes)),
            # submitit's own default is refused where none are in use
            "wckey": default_of_user("wckey"),
            "stderr_to_stdout": True,
            "additional_parameters": self._further_options(),
            # Since Slurm 22.05 srun does not inherit the CPUs of a task.
            "srun_args": [
                "--kill-on-bad-exit=1",
                "--wait=0",  # rank 0 leaves last, having told its trackers
                f"--cpus-per-task={self.cpus_per_task}",
                *self.srun,
            ],
        }

    def _further_options(self) -> dict[str, Option]:
        options = dict(self.sbatch)
        reservation = default_of_user("reservation")
        if reservation is not None:
            options.setdefault("reservation", reservation)
        return options if "no-requeue" in options else {"requeue": True, **options}


def resources_of(config: Mapping[str, Any]) -> Resources:
    """Return what a run with this frozen config asks for; ConfigError for what cannot be.

    An older config, without hardware.slurm, asks for what its other keys need.
    """
    return resources_for(*hardware_of(config))


def resources_for(hardware: HardwareOptions, num_workers: int) -> Resources:
    """Return what a run asks for whose ranks load data in so many processes; or ConfigError."""
    slurm = hardware.slurm
    tasks = _tasks_per_node(hardware)
    sbatch = _options(slurm.sbatch or {})
    return Resources(
        nodes=slurm.nodes,
        tasks_per_node=tasks,
        cpus_per_task=slurm.cpus_per_task or (hardware.threads or 1) + num_workers,
        gpus_per_node=_gpus_per_node(hardware, tasks, sbatch),
        memory_gb=slurm.memory_gb,
        time_minutes=slurm.time_minutes,
        partition=slurm.partition,
        account=None if slurm.account is None else str(slurm.account),
        qos=slurm.qos,
        constraint=slurm.constraint,
        sbatch=tuple(sorted(sbatch.items())),
        srun=tuple(slurm.srun),
        setup=tuple(slurm.setup),
    )


def _tasks_per_node(hardware: HardwareOptions) -> int:
    slurm, count = hardware.slurm, hardware.num_processes
    if slurm.tasks_per_node is None:
        return _shared(slurm, count)
    total = slurm.nodes * slurm.tasks_per_node
    if count not in (1, total):
        raise ConfigError(
            f"hardware.num_processes={count}, and hardware.slurm.nodes={slurm.nodes} with "
            f"hardware.slurm.tasks_per_node={slurm.tasks_per_node} makes {total}: leave one out"
        )
    return slurm.tasks_per_node


def _shared(slurm: SlurmOptions, count: int) -> int:
    if count % slurm.nodes:
        raise ConfigError(
            f"hardware.num_processes={count} cannot be shared evenly by "
            f"hardware.slurm.nodes={slurm.nodes}: give hardware.slurm.tasks_per_node, "
            f"or a multiple of {slurm.nodes}"
        )
    return count // slurm.nodes


def _gpus_per_node(
    hardware: HardwareOptions, tasks: int, sbatch: Mapping[str, Option]
) -> int | str | None:
    """Return what is asked for; ranks on CUDA need one each."""
    asked = hardware.slurm.gpus_per_node
    if not hardware.device.startswith("cuda"):
        return asked or None
    if asked is None:
        return None if any(name in sbatch for name in _GPU_OPTIONS) else _one_each(hardware, tasks)
    if gpus_in(asked) < tasks:
        raise ConfigError(
            f"hardware.slurm.gpus_per_node={asked}, and hardware.device={hardware.device} takes "
            f"one for each of the {tasks} ranks on a node: give more of them, or hardware=cpu"
        )
    return asked


def _one_each(hardware: HardwareOptions, tasks: int) -> int:
    if hardware.device != "cuda":
        raise ConfigError(
            f"hardware.device={hardware.device} names a GPU, and the cluster gives one of its own "
            "choice: use hardware.device=cuda, or give hardware.slurm.gpus_per_node"
        )
    return tasks


def _options(given: Mapping[str, Any]) -> dict[str, Option]:
    """Return further options as sbatch spells them; what is false or null is left out."""
    options: dict[str, Option] = {}
    for name, value in given.items():
        if value is None or value is False:
            continue
        joined = ",".join(str(each) for each in value) if isinstance(value, list) else value
        options[str(name).replace("_", "-")] = joined
    return options

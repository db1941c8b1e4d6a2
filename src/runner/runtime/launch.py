"""Who started this process, and as which of how many ranks: read from the environment.

torchrun and accelerate set RANK and WORLD_SIZE, runner's own supervisor sets the same; srun sets
SLURM_PROCID. A batch script of SLURM that was not started by srun is one process.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

_FIRST_PORT, _PORTS = 20_000, 12_000  # below those that Linux gives to clients
_STRIDE = 97  # between the ports of one job's steps: those of the next jobs lie between
_STRIDE_OF_STARTS = 1009  # a port that was taken is another one at the next start


@dataclass(frozen=True, kw_only=True)
class Launch:
    """The place of this process among the ranks of one run, and where they meet."""

    rank: int
    count: int
    local_rank: int
    host: str
    port: int
    hosts_store: bool  # whether rank 0 has to open the store, or its launcher did


def launch_of(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """Return the launch that `environment` tells of, or None for a process on its own."""
    if int(environment.get("WORLD_SIZE", "1")) > 1 and "RANK" in environment:
        return Launch(
            rank=int(environment["RANK"]),
            count=int(environment["WORLD_SIZE"]),
            local_rank=int(environment.get("LOCAL_RANK", environment["RANK"])),
            host=environment.get("MASTER_ADDR", "127.0.0.1"),
            port=int(environment.get("MASTER_PORT", "29500")),
            hosts_store=environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
        )
    # Only srun sets it: in a batch script SLURM_NTASKS tells what was asked for, not what runs.
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return Launch(
            rank=int(environment["SLURM_PROCID"]),
            count=int(environment["SLURM_STEP_NUM_TASKS"]),
            # With a GPU for each task SLURM shows every one its own, as the first.
            local_rank=0
            if environment.get("SLURM_GPUS_PER_TASK") == "1"
            else int(environment["SLURM_LOCALID"]),
            host=_first_host(environment["SLURM_STEP_NODELIST"]),
            port=_port_of(
                job=int(environment["SLURM_JOB_ID"]),
                step=int(environment.get("SLURM_STEP_ID", 0)),
                restart=int(environment.get("SLURM_RESTART_COUNT", 0)),
            ),
            hosts_store=True,
        )
    return None


def _port_of(*, job: int, step: int, restart: int) -> int:
    """Return where the tasks of one step meet; other steps of the job may run beside it."""
    return _FIRST_PORT + (job + _STRIDE * step + _STRIDE_OF_STARTS * restart) % _PORTS


def _first_host(nodes: str) -> str:
    """Return the first of a list in SLURM's short form: node[03-05,09],other -> node03."""
    match = re.match(r"([^,\[]+)(?:\[(\w+))?", nodes)
    assert match is not None
    return match[1] + (match[2] or "")

"""May a job of Slurm come back? What Slurm means to do with it, and whether it got anywhere.

Everything is asked of `scontrol show job`, which every cluster has. While a job is being ended
Slurm says COMPLETING, whatever the reason; the rest of what it shows tells the reasons apart.
"""

import os
import re
import subprocess
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from runner.errors import RunError

TRIES = 4  # of scontrol: a controller may be busy, or about to be restarted
_CALL_SECONDS = 20.0
_PAUSE_SECONDS = 1.0
_NOT_ENDED = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "CONFIGURING")
_TAKEN = ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL")
# What a person did not write: the words of CUDA, and of the kernel for a disk or a network that
# went away (EIO, ESTALE, EREMOTEIO).
_FAULTS_OF_NODES = (
    "uncorrectable ECC error",
    "GPU is lost",
    "fallen off the bus",
    "uncorrectable NVLink error",
    "[Errno 5]",
    "[Errno 116]",
    "[Errno 121]",
)
_FAULTS_THAT_PASS = ("gave no sign of life", "WorkerError")


class Intent(Enum):
    """What Slurm means to do with a job."""

    NONE = "it runs, and nobody but itself will bring it back"
    RETURN = "it will be started again"
    END = "its time is up, and it may be asked back"
    TAKE = "its node is taken from it, and it may be asked back"
    CANCEL = "a person has ended it"


@dataclass(frozen=True, kw_only=True)
class JobOfCluster:
    """The job of Slurm that this process belongs to."""

    id: str  # "123", or "123_4" in an array
    raw_id: str  # that of SLURM_JOB_ID, which is another one in an array
    restart: int  # how often it had been started before

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> "JobOfCluster":
        """Return the job that the variables of Slurm tell of; RunError outside of one."""
        raw_id = environment.get("SLURM_JOB_ID")
        if raw_id is None:
            raise RunError("SLURM_JOB_ID is not set: this is no job of Slurm")
        array, task = (environment.get(f"SLURM_ARRAY_{part}_ID") for part in ("JOB", "TASK"))
        return JobOfCluster(
            id=raw_id if array is None else f"{array}_{task}",
            raw_id=raw_id,
            restart=int(environment.get("SLURM_RESTART_COUNT", 0)),
        )


def intent_for(job: JobOfCluster) -> Intent:
    """Return what Slurm means to do with `job`; what cannot be asked is taken for NONE."""
    shown = _scontrol("show", "job", job.id)
    return Intent.NONE if shown is None else intent_in(shown, restart=job.restart)


def intent_in(shown: str, *, restart: int) -> Intent:
    """Return what `shown`, the text of `scontrol show job`, says of its start number `restart`."""
    fields = dict(re.findall(r"(\w+)=(\S+)", shown))
    state = fields.get("JobState", "")
    if int(fields.get("Restarts", 0)) > restart or state in _NOT_ENDED:
        return Intent.RETURN
    if state in ("RUNNING", "SUSPENDED"):
        return Intent.NONE
    limit, run = (_seconds(fields.get(key, "")) for key in ("TimeLimit", "RunTime"))
    is_time_up = limit is not None and run is not None and run >= limit
    is_preempted = fields.get("PreemptTime", "None") != "None"
    if state in _TAKEN or (state == "COMPLETING" and is_preempted):
        return Intent.TAKE
    if state == "TIMEOUT" or (state == "COMPLETING" and is_time_up):
        return Intent.END
    return Intent.CANCEL


def requeue(job: JobOfCluster) -> bool:
    """Let Slurm start `job` again; return whether it will."""
    if _scontrol("requeue", job.id) is not None:
        return True
    return intent_for(job) is Intent.RETURN  # the answer was lost, not the request


def avoid_node(job: JobOfCluster, node: str) -> bool:
    """Keep `job`, which waits to be started again, from `node`; return whether that was done.

    Not if too few other nodes are left in its partition, or if Slurm does not allow it.
    """
    fields = dict(re.findall(r"(\w+)=(\S+)", _scontrol("show", "job", job.id) or ""))
    partition = dict(
        re.findall(r"(\w+)=(\S+)", _scontrol("show", "partition", fields["Partition"]) or "")
        if "Partition" in fields
        else ()
    )
    excluded = {node, *_hosts(fields.get("ExcNodeList", "(null)"))}
    needed = int(fields.get("NumNodes", "1").partition("-")[0])
    if int(partition.get("TotalNodes", 0)) - len(excluded) < needed:
        return False
    nodes = ",".join(sorted(excluded))
    return _scontrol("update", f"JobId={job.id}", f"ExcNodeList={nodes}") is not None


def node_of_rank(rank: int, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the node of a rank of this job step; None if Slurm does not tell."""
    hosts = _hosts(environment.get("SLURM_STEP_NODELIST", "(null)"))
    counts: list[int] = []  # of ranks on each node, from "2(x3),1"
    for part in environment.get("SLURM_STEP_TASKS_PER_NODE", "").split(","):
        if match := re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part):
            counts += [int(match[1])] * int(match[2] or 1)
    homes = [host for host, count in zip(hosts, counts, strict=False) for _ in range(count)]
    return homes[rank] if rank < len(homes) else None


def fruitless_starts(
    provenance: Mapping[str, Any] | None,
    job: JobOfCluster,
    *,
    ended: Collection[int],
    step: int | None = None,
) -> int:
    """Return how many starts of `job` in a row, this one included, brought its run no further.

    A run stood at `from_step` when a start began to train it (see run.json); one that ended before
    has none. `step` is where the run stands now, if that is known to be saved. Of earlier starts
    those count that are among the `ended`: Slurm took the others.
    """
    begun = [
        (entry["slurm_restart"], entry["from_step"])
        for entry in (provenance or {}).get("jobs", ())
        if entry.get("slurm_job") == job.raw_id and entry.get("from_step") is not None
    ]
    if step is None:
        step = begun[-1][1] if begun else 0
    gained = [restart for restart, from_step in begun if from_step < step]
    last = max(gained, default=-1)
    return sum(restart > last for restart in {*ended, job.restart})


def may_pass(error: str) -> bool:
    """Return whether what `error` says may be gone at the next start."""
    return is_fault_of_node(error) or any(words in error for words in _FAULTS_THAT_PASS)


def is_fault_of_node(error: str) -> bool:
    """Return whether `error` blames a node, which another start had better avoid."""
    return any(words in error for words in _FAULTS_OF_NODES)


def rank_that_failed(error: str) -> int:
    """Return which rank `error` in the status of a run tells of."""
    match = re.search(r"\brank (\d+) failed", error)
    return int(match[1]) if match else 0


def _hosts(nodes: str) -> list[str]:
    """Return the names in Slurm's short form: node[1-2] -> node1, node2."""
    return [] if nodes == "(null)" else (_scontrol("show", "hostnames", nodes) or "").split()


def _seconds(text: str) -> int | None:
    """Return the seconds in Slurm's [days-]hours:minutes:seconds; None for UNLIMITED and such."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _scontrol(*arguments: str) -> str | None:
    """Return what scontrol prints, or None if it fails each time."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        try:
            done = subprocess.run(
                ["scontrol", *arguments],
                capture_output=True,
                text=True,
                check=True,
                timeout=_CALL_SECONDS,
                start_new_session=True,  # a signal to this process is not meant for it
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return done.stdout
    return None

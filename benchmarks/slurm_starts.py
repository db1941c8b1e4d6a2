"""What happens to the jobs of a sweep on a Slurm cluster: each of their starts, and what ended it.

Nothing is assumed: Slurm's own count of restarts is watched, and each restart must be explained by
what Slurm shows and logs, and by the words of the run.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from runner.run.status import read_raw_status
from runner.sweeps.directory import SweepDirectory
from tests.slurm.cluster import SlurmCluster

KINDS = ("node", "requeue", "preempt", "time", "unexplained")
EARLY = 60 + 5  # Slurm may warn of the time limit a minute earlier than asked; who looks is late


@dataclass
class Job:
    """The job of one run, as Slurm has shown it last, and what has happened to it."""

    number: int
    id: str
    restarts: int = 0
    state: str = "PENDING"
    node: str = ""
    partition: str = ""
    seconds: int = 0  # that this start has run
    is_preempted: bool = False  # this start
    struck_by: str | None = None  # what was done to this start
    hits: Counter[str] = field(default_factory=Counter)  # what has ended its starts
    signs: Counter[str] = field(default_factory=Counter)  # of what has ended them

    @property
    def is_at_work(self) -> bool:
        """Return whether it runs now."""
        return self.state == "RUNNING"


class Starts:
    """Looks at the jobs of a sweep, and finds out why each of them was started again."""

    def __init__(self, cluster: SlurmCluster, sweep: SweepDirectory, *, warned_at: int) -> None:
        self._cluster = cluster
        self._sweep = sweep
        self._warned_at = warned_at  # seconds after its start a job is told of its time limit
        self._jobs: dict[int, Job] = {}

    @property
    def jobs(self) -> list[Job]:
        """All jobs as they were seen last."""
        return list(self._jobs.values())

    def look(self) -> None:
        """Ask Slurm for all jobs once."""
        for number, id in self._ids().items():
            self._jobs.setdefault(number, Job(number=number, id=id))
        by_id = {job.id: job for job in self.jobs}
        for line in self._cluster.call("scontrol", "show", "job", "-o").splitlines():
            shown = dict(re.findall(r"(\w+)=(\S+)", line))
            if "ArrayJobId" in shown:
                id = f"{shown['ArrayJobId']}_{shown['ArrayTaskId']}"
                if (job := by_id.get(id)) is not None:
                    self._see(job, shown)

    def training(self) -> list[Job]:
        """Return the jobs at work whose present start trains, and has something saved."""
        return [job for job in self.jobs if self._trains(job)]

    def num_hit(self, kind: str, partition: str | None = None) -> int:
        """Return how many jobs, of a partition, were started again after a fault of a kind."""
        jobs = (job for job in self.jobs if partition in (None, job.partition))
        return sum(job.hits[kind] > 0 for job in jobs)

    def resubmitted(self) -> list[int]:
        """Return the runs that were given a second job."""
        counts = Counter(number for line in self._submitted() for number in line)
        return [number for number, count in counts.items() if count > 1]

    def _ids(self) -> dict[int, str]:
        ids: dict[int, str] = {}
        for line in self._submitted():
            ids = {int(number): id for number, id in line.items()} | ids
        return ids

    def _submitted(self) -> list[Mapping[str, str]]:
        with suppress(FileNotFoundError):
            lines = self._sweep.slurm.read_text().splitlines(keepends=True)
            events = [json.loads(line) for line in lines if line.endswith("\n")]
            return [event["ids"] for event in events if event["event"] == "submitted"]
        return []

    def _trains(self, job: Job) -> bool:
        directory = self._sweep.job(job.number)
        status = read_raw_status(directory.status)
        if not job.is_at_work or status is None or not directory.provenance.exists():
            return False
        last = json.loads(directory.provenance.read_text())["jobs"][-1]
        begun_at = last.get("from_step")
        is_this_start = last.get("slurm_restart") == job.restarts and begun_at is not None
        is_saved = any(directory.checkpoints.glob("step_*/manifest.json"))
        return is_this_start and is_saved and status.step > begun_at

    def _see(self, job: Job, shown: Mapping[str, str]) -> None:
        """Take over what Slurm shows of a job, and explain the starts that have ended."""
        restarts = int(shown["Restarts"])
        for _ in range(job.restarts, restarts):
            job.hits[self._why(job)] += 1
            job.struck_by, job.is_preempted, job.seconds = None, False, 0
        is_new = restarts > job.restarts
        job.restarts, job.state, job.partition = restarts, shown["JobState"], shown["Partition"]
        if job.is_at_work:
            job.node, job.seconds = shown["NodeList"], _seconds(shown["RunTime"])
        if not is_new:
            job.is_preempted |= shown.get("PreemptTime", "None") != "None"

    def _why(self, job: Job) -> str:
        """Return what has ended the last start of a job that is started again."""
        signs = self._signs(job)
        new, job.signs = signs - job.signs, signs
        if job.struck_by == "node" and new["node"]:
            return "node"
        if job.struck_by == "requeue":
            return "requeue"
        # One that is warned may be back in the queue before anybody sees that it gives way.
        if job.struck_by == "preempt" and (job.is_preempted or new["preempted"] or new["warned"]):
            return "preempt"
        is_late = job.seconds >= self._warned_at - EARLY
        return "time" if is_late and (new["warned"] or new["limit"]) else "unexplained"

    def _signs(self, job: Job) -> Counter[str]:
        """Return how often each kind of end was told of, by the cluster or by the run."""
        signs = {
            "node": self._logged("requeue job {}", job),  # due to failure of node ...
            "preempted": self._logged("preempted {}", job),
            "limit": self._logged("Time limit exhausted for {}", job),
            "warned": self._words(job, "was stopped by SIGUSR2"),
        }
        return Counter(signs)

    def _words(self, job: Job, text: str) -> int:
        """Return how often a run has printed `text`."""
        console = self._sweep.job(job.number).console
        return console.read_text(errors="replace").count(text) if console.exists() else 0

    def _logged(self, text: str, job: Job) -> int:
        """Return how often the controller of the cluster has logged `text` of a job."""
        log = (self._cluster.home / "log" / "slurmctld.log").read_text(errors="replace")
        return len(re.findall(rf"{text.format(f'JobId={job.id}')}\b", log))


def _seconds(text: str) -> int:
    """Return the seconds in Slurm's hours:minutes:seconds."""
    hours, minutes, seconds = map(int, text.split(":"))
    return (hours * 60 + minutes) * 60 + seconds

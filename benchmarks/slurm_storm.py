"""A sweep on a real Slurm, with all that a cluster does to jobs: it ends as if nothing had been.

    python benchmarks/slurm_storm.py [--jobs 24] [--faults node,kill,requeue,preempt,time]

A cluster of two nodes (scripts/slurm_dev) is started for it. The sweep, of small networks with
dropout, goes there half to the partition low and half to grace. While its runs train, in turn:

    node     the node with most of them is lost with all that it did, and comes back
    kill     the process that has submitted the sweep, and watches it, is ended by SIGKILL
    requeue  three jobs are requeued by hand (scontrol requeue), while nobody watches; then
             `python -m runner resume` re-attaches
    preempt  a job of the partition high takes a whole node: what is there from low is ended at
             once, what is there from grace is told, and has 20 seconds
    time     every job has a limit of two minutes, is warned 20 seconds before (or up to a minute
             earlier, as Slurm does), and takes longer than that: from a certain step on it trains
             slowly until its limit has hit it and all other faults have happened

At the end every run must be `completed`; its last checkpoint (weights, optimizer, generators, all
of it) must equal bit by bit that of the same sweep on this machine without a fault; its journal
must hold each row once, and the same ones; and MLflow each value of the journal once. A kind of
fault that hit no job is a failure of the benchmark, and so are a time limit that did not hit every
job, a start that ended for no known reason, and a run that was given a second job.
"""

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from slurm_starts import KINDS, Job, Starts  # noqa: E402

from runner.run.directory import RunDirectory  # noqa: E402
from runner.run.journal import read_journal  # noqa: E402
from runner.run.status import read_status  # noqa: E402
from runner.sweeps.directory import SweepDirectory  # noqa: E402
from runner.sweeps.slurm.book import JobBook  # noqa: E402
from runner.verify.trace import state_of  # noqa: E402
from tests.slurm.cluster import NODES, SlurmCluster, running_cluster  # noqa: E402

STEPS, SAVE_EVERY, SLOW_FROM = 200, 10, 40
LIMIT, WARNING = 120, 20  # seconds; Slurm's limits are whole minutes
LOOK_SECONDS = 0.5
PATIENCE = 300.0  # for a fault to find the jobs that it needs
AT_ONCE = 16  # jobs that two nodes hold

PACE = '''
import os
import time

from runner import Callback


class Pace(Callback):
    """On a cluster, takes its time for each step, and later a lot of it, until it is let go."""

    def __init__(self, slow_from):
        self._slow_from = slow_from

    def on_step_end(self, fit):
        if "SLURM_JOB_ID" in os.environ and not (fit.directory.path / "let_go").exists():
            time.sleep(0.1 if fit.progress.step < self._slow_from else 2.0)
'''


def main() -> None:
    """Let the storm rage; print a table and one JSON line; exit code 1 if a run was harmed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=24, help="an even number")
    parser.add_argument("--faults", default="node,kill,requeue,preempt,time", help="in this order")
    parser.add_argument("--minutes", type=float, default=30, help="after which it has failed")
    parser.add_argument("--folder", type=Path, help="where to work, instead of a temporary folder")
    arguments = parser.parse_args()
    if arguments.jobs % 2:
        parser.error("--jobs must be even")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or the cluster would stay
    with tempfile.TemporaryDirectory() as temporary, running_cluster() as cluster:
        summary = Storm(arguments.folder or Path(temporary), cluster, arguments).run()
    print(json.dumps(summary))
    sys.exit(0 if summary["is_fine"] else 1)


class Storm:
    """The sweep on the cluster, the faults that happen to it, and the same sweep left alone."""

    def __init__(self, folder: Path, cluster: SlurmCluster, options: argparse.Namespace) -> None:
        self.folder = folder.resolve()
        self.cluster = cluster
        self.num_jobs: int = options.jobs
        self.faults = options.faults.split(",")
        self.seconds: float = 60 * options.minutes
        self.begin = time.monotonic()
        self.adopted: set[int] = set()
        self.watcher: subprocess.Popen[bytes] | None = None
        self.starts = Starts(cluster, self.sweep("stormy"), warned_at=LIMIT - WARNING)
        (self.folder / "storm_pace.py").write_text(PACE)

    def run(self) -> dict[str, object]:
        """Return what was found."""
        calm = self.start("calm")
        self.watcher = self.start("stormy", *self.launcher())
        for fault in self.faults:
            if fault != "time":
                self.wait_until(self.are_training, f"jobs that train, before {fault}")
                getattr(self, f"do_{fault}")()
                self.say(f"{fault}: {self.standing()}")
        problems = self.see_to_the_end()
        seconds = time.monotonic() - self.begin
        if calm.wait():
            sys.exit(f"the sweep alone has failed: {self.last_words('calm')}")
        problems += [*self.missing_faults(), *self.harm(), *self.harm_in_mlflow()]
        self.print_table()
        for problem in problems:
            print(f"HARMED: {problem}")
        return {
            "benchmark": "slurm_storm",
            "jobs": self.num_jobs,
            "starts": sum(1 + job.restarts for job in self.starts.jobs),
            **{kind: sum(job.hits[kind] for job in self.starts.jobs) for kind in KINDS},
            "adopted": len(self.adopted),
            "problems": len(problems),
            "is_fine": not problems,
            "seconds": round(seconds, 1),
        }

    # ---- the faults

    def do_node(self) -> None:
        """Lose the node with most jobs, and bring it back when Slurm has requeued them."""
        node = Counter(job.node for job in self.starts.training()).most_common(1)[0][0]
        struck = self.strike("node", lambda job: job.node == node)
        self.cluster.node_down(node)
        self.wait_until(lambda: all(job.restarts for job in struck), "the loss of a node")
        self.cluster.node_up(node)

    def do_kill(self) -> None:
        """Kill who watches; his jobs live on."""
        assert self.watcher is not None
        self.watcher.kill()
        self.watcher.wait()
        self.adopted = set(JobBook(self.sweep("stormy").slurm).last_ids)

    def do_requeue(self) -> None:
        """Requeue three jobs that train."""
        numbers = {job.number for job in self.starts.training()[:3]}
        for job in self.strike("requeue", lambda job: job.number in numbers):
            self.cluster.call("scontrol", "requeue", job.id)
        self.wait_until(lambda: self.starts.num_hit("requeue") >= 3, "three jobs that come back")

    def do_preempt(self) -> None:
        """Let a job of the partition high take a node on which jobs of both others train."""
        self.attach()
        self.wait_until(lambda: any(self.mixed()), "jobs of low and of grace on one node")
        node = next(self.mixed())
        self.strike("preempt", lambda job: job.node == node)
        high = self.cluster.submit("true", "-p", "high", "-w", node, "--exclusive")
        self.wait_until(lambda: self.cluster.squeue()[high] == "COMPLETED", "the job of high")
        for name in ("low", "grace"):
            self.wait_until(
                lambda name=name: self.starts.num_hit("preempt", name) > 0,
                f"what it took of {name}",
            )

    def mixed(self) -> Iterator[str]:
        """Give the nodes on which jobs of both partitions train."""
        on = {(job.node, job.partition) for job in self.starts.training()}
        return (node for node in NODES if {(node, "low"), (node, "grace")} <= on)

    def strike(self, kind: str, is_struck: Callable[[Job], bool]) -> list[Job]:
        """Remember of the jobs at work for which `is_struck` what is done to them now."""
        self.starts.look()
        struck = [job for job in self.starts.jobs if job.is_at_work and is_struck(job)]
        for job in struck:
            job.struck_by = kind
        return struck

    def attach(self) -> None:
        """Watch the sweep again, if nobody does."""
        if self.watcher is None or self.watcher.poll() is not None:
            self.watcher = self.command("stormy", "resume", str(self.sweep("stormy").path))

    def see_to_the_end(self) -> list[str]:
        """Let each run train fast as soon as its time limit has hit it; return what went wrong."""
        self.attach()
        assert self.watcher is not None
        while self.watcher.poll() is None:
            self.starts.look()
            for job in self.starts.jobs:
                path = self.sweep("stormy").job(job.number).path
                if path.exists() and ("time" not in self.faults or job.hits["time"]):
                    (path / "let_go").touch()
            if time.monotonic() - self.begin > self.seconds:
                self.watcher.kill()
                return [f"it was not over in time: {self.standing()}"]
            time.sleep(LOOK_SECONDS)
        self.starts.look()
        return [f"stormy: {self.last_words('stormy')}"] if self.watcher.returncode else []

    def are_training(self) -> bool:
        """Return whether as many jobs train as there are, or most of those that have room."""
        return len(self.starts.training()) >= min(self.num_jobs, AT_ONCE * 3 // 4)

    def wait_until(self, is_true: Callable[[], bool], what: str) -> None:
        """Look at the jobs until it is true; give up after a while."""
        end = time.monotonic() + PATIENCE
        while True:
            self.starts.look()
            if is_true():
                return
            has_failed = self.watcher is not None and (self.watcher.poll() or 0) > 0
            if time.monotonic() > end or has_failed:
                words = self.last_words("stormy")
                sys.exit(f"waited in vain for {what}: {self.standing()}\n{words}")
            time.sleep(LOOK_SECONDS)

    # ---- the commands

    def start(self, name: str, *launcher: str) -> "subprocess.Popen[bytes]":
        """Start the sweep in the folder `name`."""
        lrs = ",".join(f"{(number + 1) * 5e-4:g}" for number in range(self.num_jobs // 2))
        limit = LIMIT if "time" in self.faults else 3600
        return self.command(
            name, "-m", "+experiment=digits", f"optimizer.lr={lrs}", "seed=0,1",
            "hardware.slurm.partition=low,grace",
            "hydra.sweeper.zip=[[seed,hardware.slurm.partition]]",
            f"hardware.slurm.time_limit={limit} seconds",
            "hardware=cpu", "hardware.threads=1", "model.dropout=0.1", "callbacks=none",
            "+callbacks.pace._target_=storm_pace.Pace", f"+callbacks.pace.slow_from={SLOW_FROM}",
            "trainer.max_epochs=null", f"trainer.max_steps={STEPS}", "trainer.log_every_steps=10",
            "trainer.evaluate_every=50 steps", f"checkpoint.every={SAVE_EVERY} steps",
            "checkpoint.keep_best=0", "sweep.name=storm", f"output_dir={name}", *launcher,
        )  # fmt: skip

    def launcher(self) -> list[str]:
        """Return the overrides by which a sweep goes to the cluster."""
        return ["hydra/launcher=slurm", f"hydra.launcher.warning={WARNING} seconds"]

    def command(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a command of runner's, whose output is appended to that of `name`."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "SLURM_CONF": str(self.cluster.conf),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        with (self.folder / f"{name}.out").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "runner", *arguments],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def sweep(self, name: str) -> SweepDirectory:
        """Return where a sweep is."""
        return SweepDirectory(self.folder / name / "digits" / "sweeps" / "storm")

    # ---- what came of it

    def missing_faults(self) -> Iterator[str]:
        """Give the faults that did not happen, and what happened that should not have."""
        starts, num_jobs = self.starts, self.num_jobs
        few = {
            "node": starts.num_hit("node") < 1,
            "kill": not self.adopted,
            "requeue": starts.num_hit("requeue") < 3,
            "preempt": min(starts.num_hit("preempt", name) for name in ("low", "grace")) < 1,
            "time": starts.num_hit("time") < num_jobs,
        }
        yield from (f"{kind} did not hit enough jobs" for kind in self.faults if few[kind])
        for job in starts.jobs:
            if job.hits["unexplained"]:
                yield f"run {job.number} was started again, and nobody knows why"
        yield from (f"run {number} was given a second job" for number in starts.resubmitted())

    def harm(self) -> Iterator[str]:
        """Give what runs have otherwise than those of the sweep that was left alone."""
        for number in range(self.num_jobs):
            stormy, calm = (self.sweep(name).job(number) for name in ("stormy", "calm"))
            status = read_status(stormy)
            if status is None or status.state != "completed":
                yield f"run {number} is {status}"
                continue
            if state_of(stormy) != state_of(calm):
                yield f"run {number}: the last checkpoint differs"
            if _rows(stormy) != _rows(calm):
                yield f"run {number}: the journal differs"
            rows = Counter((row.step, row.split) for row in read_journal(stormy.journal))
            if twice := [row for row, count in rows.items() if count > 1]:
                yield f"run {number}: rows that are there twice: {twice[:3]}"

    def harm_in_mlflow(self) -> Iterator[str]:
        """Give what MLflow has otherwise than the journals."""
        nested = "run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')"
        with closing(sqlite3.connect(self.folder / "stormy" / "mlflow.db")) as store:
            runs = store.execute(f"SELECT COUNT(*) FROM runs WHERE {nested}").fetchone()[0]
            values = store.execute(
                f"SELECT run_uuid, key, step FROM metrics WHERE {nested} AND key NOT LIKE 'best/%'"
            ).fetchall()
        journals = [read_journal(self.sweep("stormy").job(n).journal) for n in range(self.num_jobs)]
        wanted = sum(len(row.values) for rows in journals for row in rows)
        if runs != self.num_jobs:
            yield f"MLflow: {runs} of {self.num_jobs} runs are nested"
        if not len(values) == len(set(values)) == wanted:
            yield f"MLflow: {len(values)} values, {len(set(values))} of them distinct, of {wanted}"

    def print_table(self) -> None:
        """Print what happened to each job."""
        print("run  job     partition  restarts  " + "  ".join(KINDS) + "  adopted")
        for job in sorted(self.starts.jobs, key=lambda job: job.number):
            hits = "  ".join(f"{job.hits[kind] or '':>{len(kind)}}" for kind in KINDS)
            adopted = "yes" if job.number in self.adopted else ""
            line = f"{job.number:3}  {job.id:6}  {job.partition:9}  {job.restarts:8}  {hits}"
            print(f"{line}  {adopted}".rstrip(), flush=True)

    def say(self, text: str) -> None:
        """Print what has happened, and when."""
        print(f"{time.monotonic() - self.begin:6.1f} s  {text}", flush=True)

    def standing(self) -> str:
        """Return in a line how the jobs stand."""
        states = Counter(job.state.lower() for job in self.starts.jobs)
        hits = sum((job.hits for job in self.starts.jobs), Counter[str]())
        return f"{dict(states)}, {len(self.starts.training())} train; so far {dict(hits)}"

    def last_words(self, name: str) -> str:
        """Return the end of what the commands of a sweep have printed."""
        return (self.folder / f"{name}.out").read_text(errors="replace")[-2000:]


def _rows(directory: RunDirectory) -> list[tuple[object, ...]]:
    rows = [row for row in read_journal(directory.journal) if row.split != "speed"]
    return [(row.step, row.epoch, row.split, repr(row.values)) for row in rows]


if __name__ == "__main__":
    main()

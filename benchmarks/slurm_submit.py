"""How long it takes to hand a large sweep over to a real Slurm, to look at it, and to cancel it.

    python benchmarks/slurm_submit.py [--jobs 1500] [--array 1001]

Learning rates with five seeds each: from the command to the last sbatch, with `wait=false`, the
check of all configs included; then `status` of the queued runs, and `cancel`. A cluster is started
for it (scripts/slurm_dev), which takes arrays of `--array` jobs at most, so that the sweep has to
be split; its partition is down, and no job begins. Seconds are those of a clock.
"""

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.slurm.cluster import SlurmCluster, running_cluster  # noqa: E402

MAX_ARRAY_SIZE = re.compile(r"MaxArraySize=\d+")


@dataclass(frozen=True, kw_only=True)
class Done:
    """A command that has ended, and what it cost."""

    output: str
    seconds: float
    cpu: float

    @property
    def cost(self) -> list[float]:
        """Return its seconds, and those of CPU."""
        return [round(self.seconds, 1), round(self.cpu, 1)]


def main() -> None:
    """Submit, look, cancel; print a sentence for each and one JSON line; exit code 1 if wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1500, help="a multiple of 5")
    parser.add_argument("--array", type=int, default=1001, help="jobs in an array at most")
    arguments = parser.parse_args()
    if arguments.jobs % 5:
        parser.error("--jobs must be a multiple of 5")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or the cluster would stay
    with tempfile.TemporaryDirectory() as folder, running_cluster() as cluster:
        prepare(cluster, max_array_size=arguments.array)
        figures = measure(Path(folder), cluster, arguments)
    print(json.dumps({"benchmark": "slurm_submit", "jobs": arguments.jobs, **figures}))
    sys.exit(0 if figures["is_fine"] else 1)


def prepare(cluster: SlurmCluster, *, max_array_size: int) -> None:
    """Let the cluster take arrays of this size at most, and begin no job."""
    text = cluster.conf.read_text()
    cluster.conf.write_text(MAX_ARRAY_SIZE.sub(f"MaxArraySize={max_array_size}", text))
    cluster.call("scontrol", "reconfigure")
    cluster.call("scontrol", "update", "PartitionName=low", "State=DOWN")


def measure(
    folder: Path, cluster: SlurmCluster, arguments: argparse.Namespace
) -> dict[str, object]:
    """Return what each command took, and whether it did what it should."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "SLURM_CONF": str(cluster.conf)}
    num_jobs, path = arguments.jobs, "out/digits/sweeps/many"

    def runner(*arguments: str) -> Done:
        return call([sys.executable, "-m", "runner", *arguments], folder, environment)

    submitted = runner(
        "-m", "+experiment=digits", f"optimizer.lr=range(1e-5,{num_jobs // 5 + 0.5}e-5,1e-5)",
        "seed=range(0,5)", "hardware=cpu", "hardware.threads=1", "sweep.name=many",
        "output_dir=out", "hydra/launcher=slurm", "hydra.launcher.wait=false",
    )  # fmt: skip
    jobs = cluster.squeue()
    arrays = Counter(id.partition("_")[0] for id in jobs)
    check = re.search(r"checked .* in ([\d.]+) s", submitted.output)
    status = runner("status", path)
    cancelled = runner("cancel", path)
    left = Counter(state for state in cluster.squeue().values() if state != "CANCELLED")
    is_fine = (
        len(jobs) == num_jobs
        and set(jobs.values()) == {"PENDING"}
        and max(arrays.values()) <= arguments.array
        and f"{num_jobs} runs: {num_jobs} queued" in status.output
        and f"{num_jobs} runs: {num_jobs} cancelled" in cancelled.output
        and not left
    )
    if not is_fine:
        print(f"WRONG: {len(jobs)} jobs, {dict(arrays)}; left {dict(left)}")
        print(*(done.output[-1500:] for done in (submitted, status, cancelled)), sep="\n----\n")
    figures = {
        "arrays": len(arrays),
        "submit": submitted.cost,
        "of_it_check": float(check[1]) if check else None,
        "status": status.cost,
        "cancel": cancelled.cost,
        "load": round(os.getloadavg()[0], 1),
        "is_fine": is_fine,
    }
    for name in ("submit", "status", "cancel"):
        print(f"{name} {num_jobs} jobs: {figures[name][0]} s, {figures[name][1]} s of CPU")
    return figures


def call(command: list[str], folder: Path, environment: dict[str, str]) -> Done:
    """Run a command to its end; exit if it fails."""
    before, begin = _cpu_seconds(), time.monotonic()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - begin
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return Done(output=done.stdout + done.stderr, seconds=seconds, cpu=_cpu_seconds() - before)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()

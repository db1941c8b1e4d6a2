"""How long a sweep of short jobs takes: runner's local pool against other launchers of Hydra.

    python benchmarks/sweep_throughput.py [--jobs 32] [--rounds 3] [--peers PYTHON]

Each job trains a small perceptron on scikit-learn's digits for 200 steps on one torch thread, two
jobs at once, with checkpoints, evaluations and a test, without a progress bar and pictures
(--pictures: with them, in runner's jobs alone). runner sweeps with its check before the start, its
ledger and MLflow (a fresh SQLite store). The others run the same training code through Hydra's own
sweeper, without any tracking: joblib with as many workers, and submitit's local executor, which has
no limit and starts all at once. PYTHON is an interpreter that has, besides
runner's requirements, hydra-joblib-launcher and hydra-submitit-launcher; without it runner alone is
measured. Rounds are interleaved.

CPU seconds are those of all processes of the command. `beyond` is what a job of runner's sweep
costs more than its own steps, which are measured warm, in two processes side by side as the jobs
are: on cores that share their units one process alone is faster.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runner.config.compose import compose
from runner.config.validate import validate

SOURCES = Path(__file__).resolve().parents[1] / "src"
STEPS = 200
EXPERIMENT = ("+experiment=digits", "trainer.max_epochs=null", "hardware.threads=1")
BARE = ("trackers=none", "callbacks=none")
SLOTS = 2


def main() -> None:
    """Measure rounds and print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", help="a python that has the other launchers")
    parser.add_argument("--pictures", action="store_true", help="with runner's default callbacks")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(cpu_of_training()))
        return
    kinds = ["runner", *(["joblib", "submitit"] if arguments.peers else [])]
    training = statistics.mean(side_by_side())
    figures: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for number in range(arguments.rounds):
        for kind in kinds if number % 2 == 0 else reversed(kinds):
            figures[kind].append(sweep(kind, arguments))
            wall, cpu = figures[kind][-1]
            load = os.getloadavg()[0]
            print(f"{kind:9} {wall:7.2f} s  CPU {cpu:7.2f} s  load {load:.1f}", flush=True)
    report(figures, training, arguments.jobs)


def sweep(kind: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """Return the wall and CPU seconds of one sweep in a fresh folder."""
    jobs, peers = arguments.jobs, arguments.peers
    by_hydra = ("hydra/sweeper=basic", *BARE)
    callbacks = () if arguments.pictures else ("callbacks=none",)
    how = {
        "runner": ("hydra/launcher=local", f"hydra.launcher.slots={SLOTS}", *callbacks),
        "joblib": ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={SLOTS}", *by_hydra),
        "submitit": ("hydra/launcher=submitit_local", *by_hydra),
    }[kind]
    python = sys.executable if kind == "runner" or peers is None else peers
    axis = f"seed=range(0,{jobs})"
    command = [python, "-m", "runner", "-m", *EXPERIMENT, f"trainer.max_steps={STEPS}", axis, *how]
    with tempfile.TemporaryDirectory() as folder:
        before, start = children_cpu(), time.perf_counter()
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        wall, cpu = time.perf_counter() - start, children_cpu() - before
        completed = sum(
            json.loads(path.read_text())["state"] == "completed"
            for path in Path(folder).glob("outputs/*/sweeps/*/*/status.json")
        )
    if done.returncode != 0 or completed != jobs:
        sys.exit(f"{kind}: {completed} of {jobs} jobs completed\n{done.stderr[-3000:]}")
    return wall, cpu


def children_cpu() -> float:
    """Return the CPU seconds of all processes that this one, or one of those, has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def side_by_side() -> list[float]:
    """Return what as many workers measure at once as there are slots."""
    command = [sys.executable, __file__, "--worker"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for _ in range(SLOTS)
    ]
    return [float(worker.communicate()[0].splitlines()[-1]) for worker in workers]


def cpu_of_training() -> float:
    """Return the CPU seconds of the steps of one job, in a warm process."""
    from runner.job.job import run_job

    def measure(steps: int) -> float:
        overrides = (*EXPERIMENT, *BARE, f"trainer.max_steps={steps}")
        config = validate(compose(overrides))
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            run_job(config, Path(folder) / "run")
            return time.process_time() - start

    measure(20)
    return statistics.median(measure(STEPS) - measure(1) for _ in range(5))


def report(figures: dict[str, list[tuple[float, float]]], training: float, jobs: int) -> None:
    """Print medians and ratios."""
    walls = {kind: statistics.median(wall for wall, _ in found) for kind, found in figures.items()}
    cpus = {kind: statistics.median(cpu for _, cpu in found) for kind, found in figures.items()}
    beyond = cpus["runner"] / jobs - training
    for kind, wall in walls.items():
        print(f"{kind:9} {wall:7.2f} s  CPU a job {cpus[kind] / jobs:.3f} s")
    print(f"the steps of a job alone {training:.3f} s of CPU; beyond {beyond:.3f} s a job")
    ratios = {kind: walls["runner"] / wall for kind, wall in walls.items() if kind != "runner"}
    print(json.dumps({"ratios": ratios, "beyond_seconds": beyond, "walls": walls, "cpus": cpus}))


if __name__ == "__main__":
    main()

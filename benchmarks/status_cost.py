"""What `status` costs on a sweep of many runs: CPU time of the whole command.

    python benchmarks/status_cost.py [--runs 1000] [--repeats 7]

The sweep is made in a temporary folder, with a real config in its ledger. One run in ten is under
way in a process that is alive, so that its lease and the end of its journal have to be looked at.
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
from runner.config.frozen import freeze
from runner.files import write_json_atomically
from runner.run.journal import Journal, Row
from runner.run.lease import Lease
from runner.run.status import Status, write_status
from runner.runtime.signals import StopRequests
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import Combination, Ledger
from runner.sweeps.record import SweepRecord, start_entry, write_record


def main() -> None:
    """Make a sweep, look at it, and print a sentence and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="status_cost_") as folder:
        sweep = SweepDirectory(Path(folder, "sweep"))
        build(sweep, arguments.runs)
        seconds = [look_at(sweep) for _ in range(arguments.repeats + 1)][1:]  # the first compiles
    figures = [min(seconds), statistics.median(seconds), max(seconds)]
    low, middle, high = (round(figure, 3) for figure in figures)
    print(f"status of {arguments.runs} runs: {low} / {middle} / {high} s of CPU (min/median/max)")
    print(
        json.dumps({"benchmark": "status_cost", "runs": arguments.runs, "cpu": [low, middle, high]})
    )


def build(sweep: SweepDirectory, num_runs: int) -> None:
    """Write a sweep of `num_runs` runs, in the states that a sweep has on its way."""
    config = freeze(compose(["+experiment=plate_ocr"]))
    write_record(sweep, record_of(config, num_runs))
    Ledger(sweep.ledger).add(
        Combination(
            key=f"{number:016x}",
            overrides=(f"optimizer.lr={1e-5 * (1 + number)}", f"seed={number % 3}"),
            config=config,
        )
        for number in range(num_runs)
    )
    holder = held_lease(sweep)
    for number in range(num_runs):
        if number % 10 == 9:  # not begun
            continue
        run, is_running = sweep.job(number), number % 10 == 0
        state = "running" if is_running else "failed" if number % 10 == 1 else "completed"
        write_status(run.status, status_of(number, state))
        if is_running:
            write_json_atomically(run.lease, holder)
        write_rows(run.journal)


def record_of(config: dict, num_runs: int) -> SweepRecord:
    """Return what sweep.json says."""
    return SweepRecord(
        key="0" * 16,
        name="plate_ocr",
        swept=["optimizer.lr", "seed"],
        base=config,
        total=num_runs,
        starts=[start_entry(command=["python", "-m", "runner", "-m"], code={})],
    )


def status_of(number: int, state: str) -> Status:
    """Return the status of a run in `state`."""
    error = "RuntimeError: CUDA out of memory" if state == "failed" else None
    score = 1 / (1 + number)
    return Status(state=state, step=500, jobs=1, error=error, score=score, best_step=400)


def held_lease(sweep: SweepDirectory) -> dict:
    """Return the content of a lease that this process holds."""
    lease = Lease(sweep.lease, on_beat=lambda: None, stop=StopRequests())
    lease.acquire()
    content = json.loads(sweep.lease.read_text(encoding="utf-8"))
    lease.release()
    return content


def write_rows(path: Path) -> None:
    """Write a journal of some dozens of rows."""
    journal, now = Journal(path), time.time()
    for step in range(10, 500, 10):
        values = {"loss": 1 / step, "lr": 1e-3, "samples_per_second": 1234.5}
        journal.append(
            Row(step=step, epoch=step / 25, time=now + step, split="train", values=values)
        )
    journal.close()


def look_at(sweep: SweepDirectory) -> float:
    """Run `status` and return the seconds of CPU that its process took."""
    command = [sys.executable, "-m", "runner", "status", str(sweep.path)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"status failed:\n{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

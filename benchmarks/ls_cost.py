"""What `ls` costs where many runs lie: CPU time of the whole command, as it is and with a filter.

    python benchmarks/ls_cost.py [--runs 1000] [--repeats 5] [--sweeps]

The runs are made in a temporary folder, with real configs, journals of some dozens of rows and the
states that runs have; with `--sweeps` they are those of sweeps of 100.
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
from runner.config.written import to_yaml
from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row
from runner.run.provenance import first_provenance, job_entry, write_provenance
from runner.run.status import Status, write_status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import Combination, Ledger
from runner.sweeps.record import SweepRecord, start_entry, write_record

COMMANDS = {
    "ls": ["ls", "outputs"],
    "ls --where --sort": ["ls", "outputs", "--where", "optimizer.lr<0.001", "--sort", "score"],
}
OF_A_SWEEP = 100


def main() -> None:
    """Make the runs, list them, and print a sentence and a JSON line for each command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sweeps", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ls_cost_") as folder:
        build(Path(folder, "outputs"), arguments.runs, in_sweeps=arguments.sweeps)
        for name, command in COMMANDS.items():
            seconds = [cost_of(command, folder) for _ in range(arguments.repeats + 1)][1:]
            low, middle, high = (
                round(f, 3) for f in (min(seconds), statistics.median(seconds), max(seconds))
            )
            print(f"{name}, {arguments.runs} runs: {low} / {middle} / {high} s of CPU")
            figures = {"benchmark": "ls_cost", "command": name, "runs": arguments.runs}
            print(json.dumps({**figures, "cpu": [low, middle, high]}))


def build(outputs: Path, num_runs: int, *, in_sweeps: bool) -> None:
    """Write the runs below `outputs`."""
    config = freeze(compose(["+experiment=plate_ocr"]))
    text = to_yaml(config)
    sweep = SweepDirectory(outputs)
    for number in range(num_runs):
        if not in_sweeps:
            path = outputs / "plate_ocr" / f"2026-11-21_10-00-00_{number:06d}"
        else:
            if number % OF_A_SWEEP == 0:
                sweep = new_sweep(outputs / "plate_ocr" / "sweeps" / str(number), config)
            path = sweep.job(number % OF_A_SWEEP).path
        write_run(RunDirectory(path), number, text)


def new_sweep(path: Path, config: dict) -> SweepDirectory:
    """Write record and ledger of a sweep."""
    sweep = SweepDirectory(path)
    record = SweepRecord(
        key="0" * 16,
        name="plate_ocr",
        swept=["optimizer.lr", "seed"],
        base=config,
        total=OF_A_SWEEP,
        starts=[start_entry(command=["python", "-m", "runner", "-m"], code={})],
    )
    write_record(sweep, record)
    Ledger(sweep.ledger).add(
        Combination(
            key=f"{number:016x}",
            overrides=(f"optimizer.lr={1e-5 * (1 + number)}", f"seed={number % 3}"),
            config=config,
        )
        for number in range(OF_A_SWEEP)
    )
    return sweep


def write_run(run: RunDirectory, number: int, config: str) -> None:
    """Write the files of a run that has ended in one way or another."""
    run.path.mkdir(parents=True)
    lr = f"  lr: {1e-5 * (1 + number % 97)}\n"
    run.config.write_text(config.replace("  lr: 0.003\n", lr), encoding="utf-8")
    code = {"commit": "a" * 40, "diff": "+ a line\n" * 200}
    provenance = first_provenance(
        name="plate_ocr", id=f"{number:06d}", facts={"code": code, "versions": {}}
    )
    overrides = ["+experiment=plate_ocr", f"seed={number}"]
    command = ["python", "-m", "runner", *overrides]
    provenance["jobs"] = [job_entry(command=command, overrides=overrides)]
    write_provenance(run.provenance, provenance)
    state = ("failed", "running", *["completed"] * 8)[number % 10]  # one in ten is lost by now
    score = 1 / (1 + number)
    write_status(run.status, Status(state=state, step=500, jobs=1, score=score, best_step=400))
    journal, now = Journal(run.journal), time.time()
    for step in range(10, 500, 10):
        values = {"loss": 1 / step, "lr": 1e-3, "samples_per_second": 1234.5}
        row = Row(step=step, epoch=step / 25, time=now + step, split="train", values=values)
        journal.append(row)
    journal.close()


def cost_of(command: list[str], folder: str) -> float:
    """Run the command and return the seconds of CPU that its process took."""
    whole = [sys.executable, "-m", "runner", *command]
    environment = {**os.environ}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        whole, capture_output=True, text=True, env=environment, cwd=folder, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

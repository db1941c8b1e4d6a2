"""Kill a sweep's process by SIGKILL, again and again: the same command ends it as if nothing was.

    python benchmarks/sweep_storm.py [--jobs 40] [--kills 5] [--seconds 8]

Of the jobs one fails in the middle of training, one runs out of memory there, and one hangs past
its time limit; the others are good. The sweep is started, killed at a random instant, started again
by the same command, and so on; then it is left alone. It must end with exit code 1, every good job
`completed` once, with the last checkpoint that a sweep without kills gives, bit by bit; its journal
and MLflow hold each row once; and the table that it prints says of every job what became of it.
"""

import argparse
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from runner.run.directory import RunDirectory
from runner.run.journal import read_journal
from runner.run.status import read_status
from runner.sweeps.directory import SweepDirectory, is_sweep
from runner.sweeps.record import read_record
from runner.verify.trace import state_of

SOURCES = Path(__file__).resolve().parents[1] / "src"
NETWORK = '''
import time

import torch

from runner.models.mlp import MLP


class Network(MLP):
    """Fails, asks for all the memory there is, or hangs, when its number says so."""

    def __init__(self, number, troubles, sleep, **sizes):
        super().__init__(**sizes)
        self.trouble = {v: k for k, v in troubles.items()}.get(number)
        self.sleep = sleep
        # Saved with the weights: the trouble comes again at the same step.
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, inputs):
        self.count += self.training
        time.sleep(self.sleep)
        if self.count >= 40:
            if self.trouble == "fail":
                raise ValueError("this job was to fail")
            if self.trouble == "memory":
                torch.empty(1 << 60, dtype=torch.uint8)
            if self.trouble == "hang":
                time.sleep(3600)
        return super().forward(inputs)
'''


def main() -> None:
    """Run the storm and the calm sweep, compare them, print a summary; exit code 1 if harmed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="a kill comes within so long")
    parser.add_argument("--time-limit", type=int, default=20)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--sleep", type=float, default=0.005, help="how much longer a step takes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where to work; a temporary folder by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.folder or temporary)
        summary = Storm(folder, arguments).run()
    print(json.dumps(summary))
    sys.exit(0 if summary["is_fine"] else 1)


class Storm:
    """A sweep that is killed, and the same sweep left alone."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self.folder = folder
        self.options = arguments
        last = arguments.jobs - 1
        self.troubles = {"fail": last // 5, "memory": last // 2, "hang": last * 4 // 5}
        self.random = random.Random(arguments.seed)
        (folder / "storm_network.py").write_text(NETWORK)

    def run(self) -> dict:
        """Return what was found."""
        start = time.monotonic()
        kills = sum(self.kill_once(number) for number in range(self.options.kills))
        stormy = self.sweep("stormy")
        seconds = time.monotonic() - start
        again = self.sweep("stormy")
        calm = self.sweep("calm")
        problems = [
            *self.check_end("stormy", stormy),
            *self.check_end("stormy", again),
            *self.check_end("calm", calm),
            *self.compare(),
            *self.check_mlflow(),
        ]
        for problem in problems:
            print(f"HARMED: {problem}")
        return {
            "kills": kills,
            "jobs": self.options.jobs,
            "good": self.options.jobs - len(self.troubles),
            "problems": len(problems),
            "is_fine": not problems and kills == self.options.kills,
            "seconds": round(seconds, 1),
        }

    def kill_once(self, number: int) -> bool:
        """Start the sweep, kill its process at a random instant; return whether it was alive.

        The first falls anywhere, also into the check; the others when jobs are at work.
        """
        process = self.start("stormy")
        directory = self.directory("stormy")
        starts = len(read_record(directory).starts) if is_sweep(directory.path) else 0
        while number > 0 and process.poll() is None:
            if is_sweep(directory.path) and len(read_record(directory).starts) > starts:
                break
            time.sleep(0.01)
        time.sleep(self.random.uniform(0.0, self.options.seconds))
        was_alive = process.poll() is None
        process.kill()
        process.communicate()
        states = Counter(state for state in self.states("stormy").values())
        print(f"kill {number + 1}: {dict(states)}", flush=True)
        return was_alive

    def sweep(self, name: str) -> subprocess.CompletedProcess[str]:
        """Let the sweep come to its end."""
        process = self.start(name)
        out, err = process.communicate(timeout=1800)
        return subprocess.CompletedProcess([], process.returncode, out, err)

    def start(self, name: str) -> subprocess.Popen[str]:
        """Start the same command as ever."""
        troubles = ",".join(f"{kind}:{job}" for kind, job in self.troubles.items())
        command = [
            sys.executable, "-m", "runner", "-m", "+experiment=digits",
            "model._target_=storm_network.Network", f"+model.number=range(0,{self.options.jobs})",
            f"+model.troubles={{{troubles}}}", f"+model.sleep={self.options.sleep}",
            "trainer.max_epochs=null", f"trainer.max_steps={self.options.steps}",
            "checkpoint.every=20 steps", "checkpoint.keep_best=0", "callbacks=none",
            f"hydra.launcher.time_limit={self.options.time_limit} seconds",
            "hydra.launcher.slots=2", "hydra.launcher.grace=5 seconds",
            "sweep.name=storm", f"output_dir={name}",
        ]  # fmt: skip
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def directory(self, name: str) -> SweepDirectory:
        """Return where the sweep is."""
        return SweepDirectory(self.folder / name / "digits" / "sweeps" / "storm")

    def states(self, name: str) -> dict[int, str]:
        """Return the state of each run, by number."""
        found = {}
        for number in range(self.options.jobs):
            status = read_status(self.directory(name).job(number))
            found[number] = status.state if status else "none"
        return found

    def check_end(self, name: str, done: subprocess.CompletedProcess[str]) -> list[str]:
        """Return what is wrong with an ended sweep: exit code, states, and what it printed."""
        problems = []
        if done.returncode != 1:
            problems.append(f"{name}: exit code {done.returncode}: {done.stderr[-2000:]}")
        for number, state in self.states(name).items():
            wanted = "failed" if number in self.troubles.values() else "completed"
            if state != wanted:
                problems.append(f"{name}: run {number} is {state}")
            if not re.search(rf"^ *{number} +{wanted} ", done.stdout, re.MULTILINE):
                problems.append(f"{name}: the table does not say that run {number} is {wanted}")
        words = {"fail": "was to fail", "memory": "memory", "hang": "time_limit"}
        for kind, number in self.troubles.items():
            status = read_status(self.directory(name).job(number))
            if status is None or words[kind] not in (status.error or ""):
                problems.append(f"{name}: run {number} does not say why it failed: {status}")
        return problems

    def compare(self) -> list[str]:
        """Return the good runs that differ between storm and calm."""
        problems = []
        for number in range(self.options.jobs):
            if number in self.troubles.values():
                continue
            stormy, calm = (self.directory(name).job(number) for name in ("stormy", "calm"))
            if state_of(stormy) != state_of(calm):
                problems.append(f"run {number}: the last checkpoint differs")
            if _rows(stormy) != _rows(calm):
                problems.append(f"run {number}: the journal differs")
        return problems

    def check_mlflow(self) -> list[str]:
        """Return what MLflow has otherwise than the journals."""
        nested = "run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')"
        with closing(sqlite3.connect(self.folder / "stormy" / "mlflow.db")) as connection:

            def count(rows: str) -> int:
                return connection.execute(f"SELECT COUNT(*) FROM ({rows})").fetchone()[0]

            runs = count(f"SELECT 1 FROM runs WHERE {nested}")
            values = count(f"SELECT 1 FROM metrics WHERE {nested}")
            distinct = count(f"SELECT DISTINCT run_uuid, key, step FROM metrics WHERE {nested}")
        journals = sum(
            len(row.values)
            for number in range(self.options.jobs)
            for row in read_journal(self.directory("stormy").job(number).journal)
        )
        problems = []
        if runs != self.options.jobs:
            problems.append(f"MLflow: {runs} of {self.options.jobs} runs are nested")
        if values != distinct or values != journals:
            problems.append(f"MLflow: {values} values, {distinct} of them distinct, of {journals}")
        return problems


def _rows(directory: RunDirectory) -> list[tuple]:
    rows = [row for row in read_journal(directory.journal) if row.split != "speed"]
    return [(row.step, row.split, row.values) for row in rows]


if __name__ == "__main__":
    main()

"""Kill runs by SIGKILL, again and again, anywhere: each must end as if it had not been killed.

    python benchmarks/kill_storm.py [--kills 100] [--saves 30] [--evaluations 10] [--megabytes 200]

One run trains straight. Then others like it are killed at random instants, inside saves and inside
evaluations, and resumed, until there were as many kills of each kind as asked for; half of the
kills take all child processes along, the one that delivers to MLflow among them. Every run must
end `completed`; its last checkpoint (weights, optimizer, scheduler, random generators, all of it)
must equal that of the straight run bit by bit, its journal must hold each row once and the same
ones, and MLflow each value of the journal once.

A kill fell inside a save when it left a half-written checkpoint behind, and inside an evaluation
when it left the mark of a callback that says when evaluations begin and end.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from runner.run.directory import RunDirectory
from runner.run.journal import Row, read_journal
from runner.run.status import read_status
from runner.verify.trace import state_of

POLL_SECONDS = 0.002
MARK = "evaluating"

PACKAGE = '''
import time

import torch
from torch import nn
from torch.utils.data import TensorDataset

from runner import Callback, Data


def rows(count):
    generator = torch.Generator().manual_seed(count)
    return TensorDataset(torch.randn(count, 64, generator=generator), torch.arange(count) % 10)


def data():
    return Data(train=rows(400), evaluation=rows(80), test=rows(16))


class Net(nn.Sequential):
    def __init__(self, hidden_size):
        super().__init__(
            nn.Linear(64, hidden_size), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(hidden_size, hidden_size), nn.ReLU(),
            nn.Linear(hidden_size, 10),
        )


class Mark(Callback):
    """Says when an evaluation runs; makes steps and evaluations as long as is wanted."""

    def __init__(self, step_seconds, evaluation_seconds):
        self._step, self._evaluation = step_seconds, evaluation_seconds

    def on_step_end(self, fit):
        time.sleep(self._step)

    def on_evaluation_start(self, fit, split, num_batches):
        (fit.directory.path / "evaluating").touch()
        self._pause = self._evaluation / num_batches

    def on_evaluation_batch(self, fit, split, batch, predictions):
        time.sleep(self._pause)

    def on_evaluation_end(self, fit, split, values):
        (fit.directory.path / "evaluating").unlink(missing_ok=True)
'''


@dataclass
class Run:
    """One run of the storm and what has happened to it."""

    path: Path
    jobs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def directory(self) -> RunDirectory:
        return RunDirectory(self.path)


@dataclass(frozen=True)
class Watched:
    """What an undisturbed run showed: how long it, a save and an evaluation take."""

    seconds: float
    save_seconds: float
    evaluation_seconds: float


class Storm:
    """Starts, kills and resumes the runs in one folder."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self._folder = folder
        self._arguments = arguments
        self._rng = random.Random(arguments.seed)
        self._wanted = {"save": arguments.saves, "evaluation": arguments.evaluations}
        self.kills: Counter[str] = Counter()
        _write_package(folder, arguments)

    def straight(self) -> tuple[Run, Watched]:
        """Train without a kill and watch how long things take."""
        run = Run(self._folder / "straight")
        start = time.monotonic()
        process = self._start(run, "trackers=none")
        lives: dict[str, list[float]] = {"save": [], "evaluation": []}
        since: dict[str, float] = {}
        while process.poll() is None:
            for kind, here in (("save", _partials(run)), ("evaluation", _marks(run))):
                if here and kind not in since:
                    since[kind] = time.monotonic()
                elif not here and kind in since:
                    lives[kind].append(time.monotonic() - since.pop(kind))
            time.sleep(POLL_SECONDS)
        self._check_exit(run, process)
        run.seconds = time.monotonic() - start
        medians = {
            kind: statistics.median(found) if found else 0.01 for kind, found in lives.items()
        }
        return run, Watched(run.seconds, medians["save"], medians["evaluation"])

    def is_over(self) -> bool:
        """Return whether there were enough kills of each kind."""
        enough = self.kills.total() >= self._arguments.kills
        return enough and all(self.kills[kind] >= n for kind, n in self._wanted.items())

    def kill_and_resume(self, run: Run, watched: Watched, most: int) -> None:
        """Kill `run` up to `most` times; then let it end."""
        start = time.monotonic()
        while run.kills.total() < most and not self.is_over():
            if not self._one_kill(run, watched):
                break  # it was faster, and is done
        else:
            process = self._start(run)
            process.wait()
            self._check_exit(run, process)
        run.seconds = time.monotonic() - start

    def _one_kill(self, run: Run, watched: Watched) -> bool:
        """Start a job and kill it; return False when it ended before."""
        kind = self._next_kind()
        before = _partials(run)
        with suppress(FileNotFoundError):
            (run.path / MARK).unlink()  # of the last kill
        process = self._start(run)
        self._wait_for_moment(process, run, kind, before, watched)
        if process.poll() is not None:
            self._check_exit(run, process)
            return False
        self._kill(process)
        if process.returncode != -signal.SIGKILL:  # it ended just now
            return False
        fell = "evaluation" if _marks(run) else "save" if _partials(run) - before else "elsewhere"
        run.kills[fell] += 1
        self.kills[fell] += 1
        return True

    def _next_kind(self) -> str:
        missing = {kind: max(0, n - self.kills[kind]) for kind, n in self._wanted.items()}
        left = self._arguments.kills - self.kills.total() - sum(missing.values())
        kinds = {**missing, "random": max(0, left)}
        if not any(kinds.values()):
            return "random"
        return self._rng.choices(list(kinds), list(kinds.values()))[0]

    def _wait_for_moment(
        self,
        process: "subprocess.Popen[bytes]",
        run: Run,
        kind: str,
        before: set[tuple[str, int]],
        watched: Watched,
    ) -> None:
        """Return at the instant of the kill, or when the process has ended."""
        if kind == "random":
            _sleep_while_alive(process, self._rng.uniform(0.0, min(watched.seconds * 0.7, 12.0)))
            return
        number = self._rng.choice([1, 1, 2])  # which save or evaluation of this job
        was_there = False
        while process.poll() is None:
            here = bool(_partials(run) - before if kind == "save" else _marks(run))
            if here and not was_there:
                number -= 1
            if number == 0:
                length = watched.save_seconds if kind == "save" else watched.evaluation_seconds
                _sleep_while_alive(process, self._rng.uniform(0.0, 0.8 * length))
                return
            was_there = here
            time.sleep(POLL_SECONDS)

    def _start(self, run: Run, *more: str) -> "subprocess.Popen[bytes]":
        run.jobs += 1
        started_before = run.directory.config.exists()
        what = ["resume", str(run.path)] if started_before else self._overrides(run, *more)
        with (self._folder / f"{run.path.name}.out").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "runner", *what],
                cwd=self._folder,
                env={**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _overrides(self, run: Run, *more: str) -> list[str]:
        return [
            "model=storm",
            "data=storm",
            "callbacks=storm",
            "scheduler=cosine",
            "name=storm",
            "data.batch_size=8",
            "trainer.max_epochs=null",
            f"trainer.max_steps={self._arguments.steps}",
            "trainer.log_every_steps=5",
            "trainer.evaluate_every=25 steps",
            "checkpoint.every=10 steps",
            f"hydra.run.dir={run.path}",
            *more,
        ]

    def _kill(self, process: "subprocess.Popen[bytes]") -> None:
        """Kill it; half of the time with all its children, as the loss of the machine does."""
        children: list[psutil.Process] = []
        if self._rng.random() < 0.5:
            with suppress(psutil.NoSuchProcess):
                children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.wait()

    def _check_exit(self, run: Run, process: "subprocess.Popen[bytes]") -> None:
        if process.returncode != 0:
            output = (self._folder / f"{run.path.name}.out").read_text(errors="replace")
            sys.exit(f"a job of {run.path.name} ended with {process.returncode}:\n{output[-3000:]}")


def main() -> None:
    """Let the storm rage and print a table and one JSON line; exit code 1 if a run was harmed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--saves", type=int, default=30, help="at least so many inside a save")
    parser.add_argument("--evaluations", type=int, default=10, help="and inside an evaluation")
    parser.add_argument("--kills-per-run", type=int, default=20)
    parser.add_argument("--megabytes", type=float, default=200, help="of the state")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--step-seconds", type=float, default=0.0, help="added to each step")
    parser.add_argument("--evaluation-seconds", type=float, default=0.5, help="added to each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work, instead of a new folder")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="kill_storm_"))
    folder = folder.resolve()
    start = time.monotonic()
    storm = Storm(folder, arguments)
    straight, watched = storm.straight()
    print(
        f"straight: {watched.seconds:.1f} s; a save {watched.save_seconds:.2f} s, "
        f"an evaluation {watched.evaluation_seconds:.2f} s; in {folder}"
    )
    print("run  jobs  kills  in a save  in an evaluation  seconds  verdict", flush=True)
    expected = _outcome(straight)
    runs: list[Run] = []
    while not storm.is_over() and storm.kills.total() < 3 * arguments.kills:
        run = Run(folder / f"killed_{len(runs)}")
        runs.append(run)
        storm.kill_and_resume(run, watched, most=arguments.kills_per_run)
        run.problems += _harm(run, expected, folder / "outputs" / "mlflow.db")
        _print_run(len(runs), run)
        if not run.problems:
            shutil.rmtree(run.path)
    is_fine = storm.is_over() and not any(run.problems for run in runs)
    print(json.dumps(_summary(storm, runs, time.monotonic() - start, is_fine=is_fine)))
    if is_fine and arguments.folder is None:
        shutil.rmtree(folder)
    sys.exit(0 if is_fine else 1)


def _outcome(run: Run) -> tuple[object, list[tuple[object, ...]]]:
    """Return what must be the same in all runs: the last checkpoint and the journal."""
    return state_of(run.directory), _rows(read_journal(run.directory.journal))


def _rows(rows: list[Row]) -> list[tuple[object, ...]]:
    return [(r.step, r.epoch, r.split, repr(r.values)) for r in rows if r.split != "speed"]


def _harm(run: Run, expected: tuple[object, list[tuple[object, ...]]], database: Path) -> list[str]:
    """Return what is not as it should be."""
    status = read_status(run.directory)
    if status is None or status.state != "completed":
        return [f"its state is {status.state if status else 'unknown'}"]
    problems = []
    state, rows = _outcome(run)
    if state != expected[0]:
        problems.append("its last checkpoint differs from the straight one")
    if rows != expected[1]:
        problems.append("its journal differs from the straight one")
    journal = read_journal(run.directory.journal)
    twice = [key for key, n in Counter((r.step, r.split) for r in journal).items() if n > 1]
    if twice:
        problems.append(f"rows that are there twice: {twice[:3]}")
    wanted = Counter(
        (f"{row.split}/{name}", row.step, value)
        for row in journal
        for name, value in row.values.items()
    )
    found = _in_mlflow(run, database)
    if found != wanted:
        lost, extra = wanted - found, found - wanted
        problems.append(
            f"MLflow lacks {lost.total()} values ({list(lost)[:2]}) "
            f"and has {extra.total()} too many ({list(extra)[:2]})"
        )
    return problems


def _in_mlflow(run: Run, database: Path) -> Counter[tuple[str, int, float]]:
    id = json.loads(run.directory.provenance.read_text())["id"]
    with closing(sqlite3.connect(database, timeout=30)) as store:
        rows = store.execute(
            "SELECT m.key, m.step, m.value FROM metrics m JOIN tags t ON t.run_uuid = m.run_uuid "
            "WHERE t.key = 'runner.id' AND t.value = ? AND m.key NOT LIKE 'best/%'",
            (id,),
        ).fetchall()
    return Counter(rows)


def _partials(run: Run) -> set[tuple[str, int]]:
    """Return the half-written checkpoints there are; one of the same name may be another."""
    found = set()
    for path in run.directory.checkpoints.glob(".step_*.partial"):
        with suppress(FileNotFoundError):
            found.add((path.name, path.stat().st_ino))
    return found


def _marks(run: Run) -> bool:
    return (run.path / MARK).exists()


def _sleep_while_alive(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)


def _write_package(folder: Path, arguments: argparse.Namespace) -> None:
    """Write model, data and callback of the benchmark as a user's package with its conf/."""
    # Weights and two moments of AdamW, 4 bytes each, of hidden_size squared parameters.
    hidden_size = max(8, round((arguments.megabytes * 1e6 / 12) ** 0.5))
    mark = f"step_seconds: {arguments.step_seconds}\n"
    mark += f"  evaluation_seconds: {arguments.evaluation_seconds}"
    files = {
        "storm.py": PACKAGE,
        "conf/model/storm.yaml": f"_target_: storm.Net\nhidden_size: {hidden_size}\n",
        "conf/data/storm.yaml": "_target_: storm.data\n",
        "conf/callbacks/storm.yaml": f"mark:\n  _target_: storm.Mark\n  {mark}\n",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _print_run(number: int, run: Run) -> None:
    verdict = "; ".join(run.problems) or "as if it had not been killed"
    print(
        f"{number:3}  {run.jobs:4}  {run.kills.total():5}  {run.kills['save']:9}  "
        f"{run.kills['evaluation']:16}  {run.seconds:7.1f}  {verdict}",
        flush=True,
    )


def _summary(storm: Storm, runs: list[Run], seconds: float, *, is_fine: bool) -> dict[str, object]:
    return {
        "kills": storm.kills.total(),
        "in_a_save": storm.kills["save"],
        "in_an_evaluation": storm.kills["evaluation"],
        "runs": len(runs),
        "runs_harmed": sum(bool(run.problems) for run in runs),
        "seconds": round(seconds, 1),
        "is_fine": is_fine,
    }


if __name__ == "__main__":
    main()

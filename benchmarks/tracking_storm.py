"""A tracking server that is killed and restarted during a run: what it costs, and what arrives.

    python benchmarks/tracking_storm.py [--rounds 3] [--seconds 280] [--kills 10] [--postgres]

A round is two runs, of which one is tracked by a real `mlflow server` over HTTP and the other, the
same with trackers=none, is not; the order alternates. During both the server is killed by SIGKILL
and started again ten times, and is away for a whole minute after two of the kills: what the
server itself takes of this machine, where it has the lowest priority since it stands for another
one, is in both. Each step logs its values, more than 20,000 in a run; training has one thread.

Printed: the seconds from the first to the last step, by the journals, of the tracked run against
the other (median of the rounds); and how many of the journal's values MLflow lacks, has twice, or
has otherwise. Exit code 1 if there is one, or if a kill came too late. The store is a SQLite file,
or with --postgres a PostgreSQL of its own.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from runner.run.directory import RunDirectory  # noqa: E402
from runner.run.journal import read_journal  # noqa: E402
from runner.trackers.mlflow.mark import MarkFile  # noqa: E402
from tests.trackers.mlflow.mirrored import Ask, Mirrored, compare, num_runs  # noqa: E402
from tests.trackers.mlflow.world import Server  # noqa: E402
from tests.trackers.postgres import PASSWORD, running_postgres  # noqa: E402

UP_SECONDS = (2.0, 5.0)  # how long a server lives before it is killed
LOWEST_PRIORITY = 19


def main() -> None:
    """Run the rounds and print a line for each, and one of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=280.0, help="how long a run takes, about")
    parser.add_argument("--values", type=int, default=20_000, help="how many values, at least")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--long", type=int, default=2, help="after how many of them it stays away")
    parser.add_argument("--away", type=float, default=60.0, help="for so many seconds")
    parser.add_argument("--hidden-size", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--folder", help="where to work; a temporary folder by default")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and leave no server behind
    with ExitStack() as stack:
        folder = Path(arguments.folder or stack.enter_context(tempfile.TemporaryDirectory()))
        storm = Storm(folder, arguments, stack)
        summary = storm.run()
    print(json.dumps(summary))
    sys.exit(0 if summary["is_fine"] else 1)


class Weather(threading.Thread):
    """Kills the server and starts it again, until there were as many kills as wanted."""

    def __init__(self, server: Server, arguments: argparse.Namespace, note: Callable[[], str]):
        super().__init__(daemon=True)
        self._server = server
        self._options = arguments
        self._note = note
        self._rng = random.Random(arguments.seed)
        every = max(1, arguments.kills // max(1, arguments.long))
        self._long = set(range(every // 2, arguments.kills, every)) if arguments.long else set()
        self.kills: list[float] = []  # when
        self._is_over = threading.Event()

    def run(self) -> None:
        """Be the thread."""
        for number in range(self._options.kills):
            self._is_over.wait(self._rng.uniform(*UP_SECONDS))
            if self._is_over.is_set():
                return
            self._server.stop()
            self.kills.append(time.time())
            print(f"  kill {number + 1}: {self._note()}", flush=True)
            self._is_over.wait(self._options.away if number in self._long else 0.0)
            self._server.start()

    def clear_up(self) -> None:
        """Leave a server that lives."""
        self._is_over.set()
        self.join()


class Storm:
    """The rounds, each in a folder of its own."""

    def __init__(self, folder: Path, arguments: argparse.Namespace, stack: ExitStack) -> None:
        self._folder = folder
        self._options = arguments
        self._stack = stack
        self._postgres = stack.enter_context(running_postgres()) if arguments.postgres else None
        if self._postgres is not None:
            os.environ["PGPASSWORD"] = PASSWORD
        self._steps = 0

    def run(self) -> dict[str, object]:
        """Return what was found."""
        self._steps = self._how_many_steps()
        rounds = [self._round(number) for number in range(self._options.rounds)]
        ratios = [tracked / plain for tracked, plain, _, _ in rounds]
        mirrored = [found for _, _, found, _ in rounds]
        kills = [count for _, _, _, count in rounds]
        is_exact = all(found.is_exact for found in mirrored)
        return {
            "benchmark": "tracking_storm",
            "rounds": len(rounds),
            "store": "postgresql" if self._postgres else "sqlite",
            "seconds": [round(tracked, 1) for tracked, _, _, _ in rounds],
            "seconds_untracked": [round(plain, 1) for _, plain, _, _ in rounds],
            "ratio": round(statistics.median(ratios), 4),
            "ratios": [round(ratio, 4) for ratio in ratios],
            "values": min(found.values for found in mirrored),
            "missing": sum(found.missing for found in mirrored),
            "doubled": sum(found.doubled for found in mirrored),
            "different": sum(found.different for found in mirrored),
            "kills": kills,
            "is_fine": is_exact and min(kills) == self._options.kills,
        }

    def _round(self, number: int) -> tuple[float, float, Mirrored, int]:
        """Return the seconds of the tracked run and of the other, what arrived, and the kills."""
        found: dict[bool, tuple[float, Mirrored | None, int]] = {}
        for is_tracked in (True, False) if number % 2 == 0 else (False, True):
            found[is_tracked] = self._storm(f"round_{number}", is_tracked=is_tracked)
        (seconds, mirrored, kills), (plain, _, plain_kills) = found[True], found[False]
        assert mirrored is not None
        print(f"round {number + 1}: ratio {seconds / plain:.4f}", flush=True)
        return seconds, plain, mirrored, min(kills, plain_kills)

    def _storm(self, name: str, *, is_tracked: bool) -> tuple[float, Mirrored | None, int]:
        """Train beside a server that is killed again and again."""
        folder = self._folder / name / ("tracked" if is_tracked else "untracked")
        backend, ask = self._store(folder, f"{name}_{is_tracked}".lower())
        server = Server(folder / "server", backend=backend, niceness=LOWEST_PRIORITY)
        directory = RunDirectory(folder / "run")

        def delivered() -> str:
            rows = MarkFile(directory.tracker("mlflow")).load(server.uri).rows
            return f"{rows} rows delivered"

        weather = Weather(server, self._options, delivered)
        server.start()
        process = self._train(directory, server.uri if is_tracked else None, self._steps)
        try:
            _wait_for_rows(directory, process)
            weather.start()
            _, errors = process.communicate()
            weather.clear_up()
            if process.returncode:
                sys.exit(f"training failed:\n{errors}")
        finally:
            process.kill()
            server.stop()
        first, last = _first_and_last(directory)
        kills = sum(first < kill < last for kill in weather.kills)
        mirrored = compare(directory, server.uri, ask) if is_tracked else None
        runs = num_runs(ask)
        print(
            f"{directory.path.parent.name}: {last - first:.1f} s, {kills} kills; {mirrored or ''}",
            flush=True,
        )
        if runs != int(is_tracked):
            sys.exit(f"MLflow has {runs} runs")
        return last - first, mirrored, kills

    def _store(self, folder: Path, name: str) -> tuple[str | None, Ask]:
        """Return the address of a store for the server, and how its tables are read."""
        if self._postgres is not None:
            postgres = self._postgres
            return postgres.create(name), lambda question: postgres.query(name, question)

        def ask(question: str) -> list[tuple]:
            with closing(sqlite3.connect(folder / "server" / "server.db")) as connection:
                return connection.execute(question).fetchall()

        return None, ask

    def _how_many_steps(self) -> int:
        """Return how many steps take the wanted time and log the wanted number of values."""
        directory = RunDirectory(self._folder / "measured")
        process = self._train(directory, None, 300)
        _, errors = process.communicate()
        if process.returncode:
            sys.exit(f"training failed:\n{errors}")
        rows = read_journal(directory.journal)
        first, last = _first_and_last(directory)
        values_a_step = sum(len(row.values) for row in rows) / 300
        steps = self._options.seconds / ((last - first) / 299)
        return round(max(steps, 1.02 * self._options.values / values_a_step))

    def _train(self, directory: RunDirectory, uri: str | None, steps: int) -> subprocess.Popen[str]:
        tracking = ["trackers=none"]
        if uri is not None:
            tracking = [f"trackers.mlflow.tracking_uri={uri}"]
            tracking.append("trackers.mlflow.finish_timeout_seconds=180")
        command = [
            sys.executable, "-m", "runner", "+experiment=digits", "callbacks=none",
            "checkpoint=off", f"model.hidden_size={self._options.hidden_size}",
            "model.num_layers=3", "data.batch_size=128", "hardware.threads=1",
            "trainer.max_epochs=null", f"trainer.max_steps={steps}", "trainer.log_every_steps=1",
            "trainer.log_grad_norm=true", "trainer.evaluate_every=500 steps",
            f"hydra.run.dir={directory.path}", *tracking,
        ]  # fmt: skip
        directory.path.mkdir(parents=True)
        return subprocess.Popen(
            command,
            cwd=directory.path.parent,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


def _wait_for_rows(directory: RunDirectory, process: subprocess.Popen[str]) -> None:
    """Let no kill come before the first step."""
    while process.poll() is None and not read_journal(directory.journal):
        time.sleep(0.2)


def _first_and_last(directory: RunDirectory) -> tuple[float, float]:
    """Return when the first step of training was logged, and the last."""
    times = [row.time for row in read_journal(directory.journal) if row.split == "train"]
    return times[0], times[-1]


if __name__ == "__main__":
    main()

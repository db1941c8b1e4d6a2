"""What the tests of MLflow share: runs to track, a look into a SQLite store, a real server."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row
from runner.trackers.tracker import TrackedRun

START = 1_790_000_000.0


def tracked_run(path: Path, **more) -> TrackedRun:
    path.mkdir(parents=True, exist_ok=True)
    directory = RunDirectory(path)
    directory.config.write_text("seed: 0\n")
    return TrackedRun(directory=directory, name="plates", **more)


def write_rows(
    run: TrackedRun, first: int, last: int, *, num_values: int = 2, seconds_later: float = 0.0
) -> None:
    """Append the rows of the steps `first` to `last` - 1."""
    journal = Journal(run.directory.journal)
    for step in range(first, last):
        values = {f"value_{number}": step + number / 8 for number in range(num_values)}
        journal.append(Row(step, step / 10, START + step + seconds_later, "train", values))
    journal.close()


def expected_metrics(steps: int, *, num_values: int = 2) -> list[tuple]:
    return sorted(
        (f"train/value_{number}", step, int((START + step) * 1000), step + number / 8)
        for step in range(steps)
        for number in range(num_values)
    )


@dataclass
class StoredRun:
    """One run as the tables of a store hold it."""

    run_id: str
    name: str
    status: str
    metrics: list[tuple]
    parameters: dict[str, str]
    tags: dict[str, str]


def stored_runs(database: Path) -> list[StoredRun]:
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        return read_runs(lambda question: connection.execute(question).fetchall())


def read_runs(ask: Callable[[str], list[tuple]]) -> list[StoredRun]:
    """Return the runs that nobody deleted, of the store whose tables `ask` reads."""
    runs = ask("SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage = 'active'")
    return [
        StoredRun(
            run_id=run_id,
            name=name,
            status=status,
            metrics=sorted(ask(f"SELECT key, step, timestamp, value FROM metrics {where}")),
            parameters=dict(ask(f"SELECT key, value FROM params {where}")),
            tags=dict(ask(f"SELECT key, value FROM tags {where}")),
        )
        for run_id, name, status in runs
        for where in [f"WHERE run_uuid = '{run_id}'"]
    ]


def wait_until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A real `mlflow server` on this machine, in a process group of its own.

    Its store is `backend`, or a SQLite file in `folder`.
    """

    def __init__(self, folder: Path, *, backend: str | None = None, niceness: int = 0) -> None:
        self._folder = folder
        self._niceness = niceness
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self.database = folder / "server.db"
        self._backend = backend or f"sqlite:///{self.database}"

    def start(self, *, wait: bool = True) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self._port), "--workers", "1"]
        command += ["--backend-store-uri", self._backend]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        # Its jobs are six processes more, which nothing here needs.
        settings = {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        environment = os.environ | settings
        with (self._folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
                cwd=self._folder,
            )
        os.setpriority(os.PRIO_PROCESS, self._process.pid, self._niceness)
        if wait:
            wait_until(self._is_healthy, seconds=90)

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

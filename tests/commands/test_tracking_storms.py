"""Tracking in outages, in small: the whole storms are commands of the README."""

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from runner.run.journal import read_journal
from runner.trackers.mlflow.mark import MarkFile
from tests.commands.command import start
from tests.trackers.mlflow.mirrored import compare, num_runs
from tests.trackers.mlflow.world import Server, wait_until
from tests.trackers.postgres import programs

ROOT = Path(__file__).parents[2]
STORM = "--rounds=1 --seconds=20 --values=1000 --kills=2 --long=1 --away=4"

pytestmark = pytest.mark.slow


def run_benchmark(name: str, *options: str) -> dict:
    command = [sys.executable, str(ROOT / "benchmarks" / name), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timeout(400)
def test_a_server_that_is_killed_again_and_again_has_all_values_once(tmp_path: Path) -> None:
    found = run_benchmark("tracking_storm.py", *STORM.split(), "--folder", str(tmp_path))
    assert found["values"] >= 1000 and found["kills"] == [2]
    assert found["missing"] == found["doubled"] == found["different"] == 0


@pytest.mark.timeout(400)
def test_runs_that_start_at_once_all_arrive_in_a_store_that_does_not_exist_yet(
    tmp_path: Path,
) -> None:
    try:
        programs()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    found = run_benchmark("first_store.py", "--runs=4", "--steps=5", "--folder", str(tmp_path))
    for store in ("sqlite", "postgresql", "server"):
        assert found[store]["completed"] == found[store]["finished"] == 4
        assert found[store]["missing"] == found[store]["doubled"] == found[store]["different"] == 0


@pytest.mark.timeout(400)
def test_server_and_run_are_killed_and_the_run_resumes_from_an_earlier_step(tmp_path: Path) -> None:
    server = Server(tmp_path / "server")
    directory = RunDirectory(tmp_path / "run")

    def ask(question: str) -> list[tuple]:
        with closing(sqlite3.connect(server.database)) as connection:
            return connection.execute(question).fetchall()

    def rows() -> int:
        return len(read_journal(directory.journal))

    def delivered() -> int:
        return MarkFile(directory.tracker("mlflow")).load(server.uri).rows

    options = [
        "+experiment=digits", "callbacks=none", "checkpoint.every=100 steps", "data.batch_size=128",
        "model.hidden_size=1024", "hardware.threads=1", "trainer.max_epochs=null",
        "trainer.max_steps=800", "trainer.log_every_steps=1", f"hydra.run.dir={directory.path}",
        f"trackers.mlflow.tracking_uri={server.uri}", "trackers.mlflow.finish_timeout_seconds=120",
    ]  # fmt: skip
    server.start()
    try:
        run = start(*options, cwd=tmp_path)
        wait_until(lambda: delivered() > 0, seconds=120)
        server.stop()
        seen = rows()
        wait_until(lambda: rows() > seen + 20, seconds=120)
        run.kill()
        run.communicate()
        resumed = start("resume", str(directory.path), cwd=tmp_path)
        time.sleep(3)
        server.start()
        _, errors = resumed.communicate()
        assert resumed.returncode == 0, errors
        assert compare(directory, server.uri, ask).is_exact
        assert num_runs(ask) == 1
    finally:
        server.stop()

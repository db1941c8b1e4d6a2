"""`sync`: what jobs that are gone have left in their journals arrives, once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.config.written import to_yaml
from runner.run.directory import RunDirectory
from runner.run.lease import Lease
from runner.run.signature import sign
from runner.run.status import Status, write_status
from runner.runtime.signals import StopRequests
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.record import read_record, write_record
from runner.trackers.delivery.lock import DeliveryLock
from runner.trackers.mlflow.mark import Mark, MarkFile
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.trackers.tracker import TrackedRun
from tests.commands.command import call, start
from tests.sweeps.sweep_directories import plan
from tests.trackers.mlflow.world import (
    Server,
    expected_metrics,
    stored_runs,
    wait_until,
    write_rows,
)

HOME = "sqlite:///outputs/mlflow.db"


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take seconds to make."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    program = (
        f"from runner.trackers.mlflow.store import MLflowStore\nMLflowStore('sqlite:///{path}')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stderr=subprocess.DEVNULL)
    return path


@pytest.fixture
def database(tmp_path: Path, empty_store: Path) -> Path:
    path = tmp_path / "outputs" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(empty_store, path)
    return path


def tracking(uri: str = HOME, **more: Any) -> dict[str, Any]:
    target = "runner.trackers.mlflow.tracker.MLflowTracker"
    node = {"_target_": target, "tracking_uri": uri, "finish_timeout_seconds": 20.0, **more}
    return {"mlflow": node}


def run_of(path: Path, state: str, trackers: dict[str, Any], *, rows: int = 5) -> TrackedRun:
    """Make a run as a job leaves it; `running` without a lease is one that was killed."""
    path.mkdir(parents=True, exist_ok=True)
    directory = RunDirectory(path)
    config = {"name": "plates", "seed": int(path.name[-1]), "trackers": trackers}
    sign(directory, to_yaml(config))
    directory.config.write_text(to_yaml(config))
    jobs = [{"time": 1.79e9, "command": [], "overrides": []}]
    run_json = {"format_version": 1, "id": path.name, "name": "plates", "jobs": jobs}
    directory.provenance.write_text(json.dumps(run_json))
    write_status(directory.status, Status(state=state, jobs=1))
    run = TrackedRun(directory=directory, name="plates", parameters=config)
    write_rows(run, 0, rows)
    return run


def sweep_of(path: Path, trackers: dict[str, Any], states: list[str]) -> SweepDirectory:
    """Make a sweep as a killed watcher leaves it, none of whose jobs has delivered."""
    sweep = plan(path, [[f"seed={number}"] for number in range(len(states))])
    base = {"name": "plates", "trackers": trackers}
    write_record(sweep, replace(read_record(sweep), name="plates", base=base, total=None))
    for number, state in enumerate(states):
        run_of(sweep.job(number).path, state, trackers)
    return sweep


def sync(*arguments: str, cwd: Path) -> list[str]:
    done = call("sync", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_killed_and_finished_runs_arrive_once(tmp_path: Path, database: Path) -> None:
    run_of(tmp_path / "outputs" / "plates" / "run1", "completed", tracking())
    run_of(tmp_path / "outputs" / "plates" / "run2", "running", tracking())
    tracker = MLflowTracker(tracking_uri=f"sqlite:///{database}")
    began = run_of(tmp_path / "outputs" / "plates" / "run3", "failed", tracking())
    tracker.start(began)  # its job delivered a part of it
    tracker.finish("preempted")
    (first,) = stored_runs(database)
    write_rows(began, 5, 9)

    lines = sync("outputs", cwd=tmp_path)
    assert [line.partition(f"sqlite:///{database}: ")[2] for line in lines] == [
        *["5 rows delivered, 0 were there"] * 2,
        "4 rows delivered, 5 were there",
    ]
    stored = {run.name: run for run in stored_runs(database)}
    assert {name: run.status for name, run in stored.items()} == {
        "run1": "FINISHED",
        "run2": "KILLED",
        "run3": "FAILED",
    }
    assert stored["run3"].run_id == first.run_id
    assert stored["run3"].metrics == expected_metrics(9)
    assert stored["run1"].metrics == expected_metrics(5)
    assert stored["run1"].parameters["seed"] == "1"
    assert stored["run1"].tags["runner.id"] == "run1"

    database.rename(database.with_suffix(".away"))  # what is there already asks no server
    again = sync("outputs/plates/run1", "outputs/plates/run3", cwd=tmp_path)
    assert [line.rpartition(": ")[2] for line in again] == [
        "nothing new, 5 rows are there",
        "nothing new, 9 rows are there",
    ]
    assert not database.exists()


def test_to_another_store_adds_nothing_the_second_time(tmp_path: Path, database: Path) -> None:
    run_of(tmp_path / "outputs" / "run0", "completed", {})  # trackers=none
    sweep_of(
        tmp_path / "outputs" / "sweep", tracking("http://127.0.0.1:9"), ["completed", "failed"]
    )
    uri = f"sqlite:///{database}"
    first = sync("outputs", "--to", uri, cwd=tmp_path)
    assert [line.rpartition(": ")[2].split()[0] for line in first] == ["5", "10"]
    stored = {run.name: run for run in stored_runs(database)}
    assert set(stored) == {"run0", "sweep", "0", "1"}
    assert stored["1"].tags["mlflow.parentRunId"] == stored["sweep"].run_id
    assert {stored[name].status for name in ("1", "sweep")} == {"FAILED"}
    second = sync("outputs", "--to", uri, cwd=tmp_path)
    assert [line.rpartition(": ")[2] for line in second] == [
        "nothing new, 5 rows are there",
        "nothing new, 10 rows are there",
    ]
    assert {run.name: run.metrics for run in stored_runs(database)} == {
        name: run.metrics for name, run in stored.items()
    }


@pytest.mark.slow
def test_a_server_that_is_down_is_a_sentence_and_nothing_is_lost(tmp_path: Path) -> None:
    server = Server(tmp_path / "server")
    trackers = tracking(server.uri, finish_timeout_seconds=3.0)
    for number in range(3):
        run_of(tmp_path / f"run{number}", "completed", trackers)
    started = time.perf_counter()
    refused = call("sync", ".", cwd=tmp_path)
    assert time.perf_counter() - started < 7.0  # it is not tried for each run
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert f"MLflow at {server.uri} did not take all within 3 s" in line
    for number in range(3):
        run_of(tmp_path / f"run{number}", "completed", tracking(server.uri), rows=0)
    server.start()
    try:
        sync(".", cwd=tmp_path)
    finally:
        server.stop()
    metrics = [run.metrics for run in stored_runs(server.database)]
    assert metrics == [expected_metrics(5)] * 3


def test_jobs_that_deliver_themselves_are_shown_below_their_sweep(
    tmp_path: Path, database: Path
) -> None:
    """As with a server on a cluster: each job delivers, whoever watches the sweep nests."""
    uri = f"sqlite:///{database}"
    sweep = sweep_of(tmp_path / "sweep", tracking(uri), ["completed", "completed", "running"])
    RunDirectory(sweep.path).tracker("mlflow").parent.mkdir()

    def deliver(number: int) -> None:
        run = run_of(sweep.job(number).path, "completed", tracking(uri), rows=0)
        run = TrackedRun(directory=run.directory, name="plates", sweep=RunDirectory(sweep.path))
        tracker = MLflowTracker(tracking_uri=uri)
        tracker.start(run)
        tracker.finish("completed")

    deliver(0)  # before there is a run for the sweep
    assert "mlflow.parentRunId" not in stored_runs(database)[0].tags
    sync("sweep", cwd=tmp_path)
    write_rows(TrackedRun(directory=sweep.job(1), name="plates"), 5, 7)
    deliver(1)
    stored = {run.name: run for run in stored_runs(database)}
    assert len(stored) == 4
    parents = {stored[name].tags["mlflow.parentRunId"] for name in "012"}
    assert parents == {stored["sweep"].run_id}
    assert stored["1"].metrics == expected_metrics(7)
    sync("sweep", cwd=tmp_path)
    assert len(stored_runs(database)) == 4


def test_what_goes_on_is_delivered_as_far_as_it_is(tmp_path: Path, database: Path) -> None:
    busy, going = tmp_path / "outputs" / "run0", tmp_path / "outputs" / "run1"
    locked = DeliveryLock(run_of(busy, "running", tracking()).directory.tracker("mlflow"))
    run = run_of(going, "running", tracking())
    lease = Lease(run.directory.lease, on_beat=lambda: None, stop=StopRequests())
    lease.acquire()
    assert locked.try_acquire()
    try:
        lines = sync("outputs", cwd=tmp_path)
    finally:
        lease.release()
        locked.release()
    assert lines[0].endswith("another process delivers it")
    (stored,) = stored_runs(database)
    assert (stored.name, stored.status, len(stored.metrics)) == ("run1", "RUNNING", 10)
    sync("outputs/run1", cwd=tmp_path)
    assert stored_runs(database)[0].status == "KILLED"


def test_files_in_the_run_directory_are_fed_too(tmp_path: Path) -> None:
    trackers = {
        "csv": {"_target_": "runner.trackers.csv_file.CSVTracker"},
        "board": {"_target_": "runner.trackers.tensorboard.TensorBoardTracker"},
    }
    run = run_of(tmp_path / "run0", "running", trackers)
    assert [line.rpartition(": ")[2] for line in sync(".", cwd=tmp_path)] == [
        "5 rows delivered, 0 were there"
    ] * 2
    written = {path: path.read_bytes() for path in (tmp_path / "run0").rglob("*") if path.is_file()}
    assert len(run.directory.table.read_text().splitlines()) == 6
    assert [line.rpartition(": ")[2] for line in sync(".", cwd=tmp_path)] == [
        "nothing new, 5 rows are there"
    ] * 2
    after = {path: path.read_bytes() for path in (tmp_path / "run0").rglob("*") if path.is_file()}
    assert after == written


def test_it_does_without_torch(tmp_path: Path) -> None:
    address = "http://127.0.0.1:9"
    run = run_of(tmp_path / "outputs" / "run0", "completed", tracking(address), rows=0)
    mark = Mark(run_id="1", state="FINISHED", written=address, parent="2")
    MarkFile(run.directory.tracker("mlflow")).save(address, mark)
    sweep_of(tmp_path / "outputs" / "sweep", {}, ["completed"])
    program = """
import sys
from runner.cli.main import run
assert run(["sync", "outputs"]) == 0
assert not {"torch", "mlflow"} & set(sys.modules)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=tmp_path)


def test_a_folder_without_runs_is_told(tmp_path: Path) -> None:
    done = call("sync", ".", cwd=tmp_path)
    assert done.returncode == 1
    assert "neither a run (no run.json) nor a sweep" in done.stderr


@pytest.mark.slow
def test_a_sweep_whose_watcher_was_killed_is_delivered(tmp_path: Path) -> None:
    short = ("+experiment=digits", "callbacks=none", "sweep.check=none")
    process = start("-m", *short, "trainer.max_epochs=3", "seed=1,2,3", cwd=tmp_path)
    root = tmp_path / "outputs" / "digits" / "sweeps"
    wait_until(lambda: len(list(root.glob("*/*/trackers/mlflow.order.json"))) >= 1)
    wait_until(lambda: any("completed" in p.read_text() for p in root.glob("*/*/status.json")))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (sweep,) = root.iterdir()
    mark = MarkFile(RunDirectory(sweep).tracker("mlflow"))
    uri = f"sqlite:///{tmp_path}/outputs/mlflow.db"
    wait_until(lambda: mark.load(uri).state == "KILLED")  # its delivery ends by itself
    shutil.rmtree(sweep / "trackers")  # as if that had been killed before it began
    for path in sweep.glob("*/trackers/mlflow.json"):
        path.unlink()
    (tmp_path / "outputs" / "mlflow.db").unlink()
    (there := tmp_path / "elsewhere").mkdir()
    sync(str(sweep), cwd=there)
    stored = stored_runs(tmp_path / "outputs" / "mlflow.db")
    assert sum("mlflow.parentRunId" in run.tags for run in stored) == len(stored) - 1 >= 1
    assert not list(there.iterdir())
    assert "nothing new" in sync(str(sweep), cwd=there)[0]

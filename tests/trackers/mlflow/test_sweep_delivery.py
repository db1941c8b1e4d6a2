import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from runner.run.lease import Lease
from runner.run.status import Status, write_status
from runner.runtime.signals import StopRequests
from runner.trackers.delivery.messages import Ending, write_message
from runner.trackers.delivery.process import end_process
from runner.trackers.mlflow import sweep as sweep_module
from runner.trackers.mlflow.handover import handover_path
from runner.trackers.mlflow.mark import Mark, MarkFile
from runner.trackers.mlflow.sweep import SweepDelivery
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.trackers.tracker import TrackedRun
from tests.trackers.mlflow.world import (
    Server,
    expected_metrics,
    stored_runs,
    tracked_run,
    wait_until,
    write_rows,
)

SECRET = "hunter2-and-more"


@pytest.fixture
def database(tmp_path, empty_store):
    path = tmp_path / "outputs" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(empty_store, path)
    return path


@pytest.fixture
def quick(monkeypatch):
    """A process that died is started again soon."""
    monkeypatch.setattr(sweep_module, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(sweep_module, "RESTART_SECONDS", 0.1)


def sweep_of(path: Path, uri: str, *, tags=None, **options) -> SweepDelivery:
    run = TrackedRun(
        directory=RunDirectory(path / "sweep"),
        name="plates",
        parameters={"optimizer": {"lr": 0.1}},
        tags=tags or {},
    )
    return SweepDelivery(MLflowTracker(tracking_uri=uri, **options), run)


def job(path: Path, number: int, delivery: SweepDelivery, uri: str, **options):
    """Return the tracker of a job that has begun, and its run."""
    run = tracked_run(
        path / "sweep" / str(number),
        parameters={"optimizer": {"lr": number}},
        tags={"runner.id": f"id{number}"},
        delivered_to=delivery.delivered_to,
    )
    tracker = MLflowTracker(tracking_uri=uri, **options)
    tracker.start(run)
    return tracker, run


def whole_job(path: Path, number: int, delivery: SweepDelivery, uri: str, *, state, **options):
    delivery.add(path / "sweep" / str(number))
    tracker, run = job(path, number, delivery, uri, **options)
    write_rows(run, 0, 5)
    weights = run.directory.path / "model.safetensors"
    weights.write_bytes(b"weights")
    tracker.finish(state, [weights] if state == "completed" else [])
    delivery.ended(run.directory.path, state)
    return run


def num_children(database: Path) -> int:
    return sum("mlflow.parentRunId" in run.tags for run in stored_runs(database))


def in_mlflow(database: Path):
    """Return the run of the sweep, and those below it by name."""
    runs = stored_runs(database)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.tags]
    children = {run.name: run for run in runs if run is not parent}
    assert len(children) == len(runs) - 1
    assert all(run.tags["mlflow.parentRunId"] == parent.run_id for run in children.values())
    return parent, children


def test_a_sweep_arrives_nested_below_one_run(tmp_path, database):
    uri = f"sqlite:///{database}"
    delivery = sweep_of(tmp_path, uri, tags={"runner.command": "-m"})
    report = tmp_path / "sweep" / "report"
    report.mkdir(parents=True)
    (report / "table.md").write_text("| run |")
    (report / "pictures").mkdir()
    (report / "pictures" / "lr.png").write_bytes(b"png")
    states = ["completed", "failed", "pruned"]
    for number, state in enumerate(states):
        whole_job(tmp_path, number, delivery, uri, state=state)
    summary = {"runs.completed": 1, "runs.failed": 1, "best_score": 0.5}
    assert delivery.close("failed", summary=summary, files=[report]) == []

    parent, children = in_mlflow(database)
    assert (parent.name, parent.status) == ("sweep", "FAILED")
    assert parent.parameters == {"optimizer.lr": "0.1"}
    assert parent.tags["runner.sweep"] == "sweep" and parent.tags["runner.command"] == "-m"
    assert {key: value for key, _, _, value in parent.metrics} == summary
    assert [run.status for run in children.values()] == ["FINISHED", "FAILED", "KILLED"]
    for number, run in enumerate(children.values()):
        assert run.metrics == expected_metrics(5)
        assert run.parameters == {"optimizer.lr": str(number)}
        assert run.tags["runner.id"] == f"id{number}" and run.tags["runner.sweep"] == "sweep"
    artifacts = database.parent / "mlflow_artifacts"
    assert (artifacts / parent.run_id / "artifacts/report/table.md").exists()
    assert (artifacts / parent.run_id / "artifacts/report/pictures/lr.png").exists()
    first = artifacts / children["0"].run_id / "artifacts"
    assert (first / "model" / "model.safetensors").read_bytes() == b"weights"
    assert (first / "config.yaml").exists()

    database.rename(database.with_suffix(".away"))  # what is there already asks no server
    again = sweep_of(tmp_path, uri)
    for number, state in enumerate(states):
        again.ended(tmp_path / "sweep" / str(number), state)
    assert again.close("failed") == []
    assert not database.exists()


def test_a_job_of_a_sweep_starts_no_process_and_does_not_wait(tmp_path):
    delivery = sweep_of(tmp_path, "http://127.0.0.1:9")
    started = time.process_time(), time.perf_counter()
    tracker, run = job(tmp_path, 0, delivery, "http://127.0.0.1:9")
    tracker.finish("completed")
    assert tracker._child is None
    assert time.process_time() - started[0] < 0.05
    assert time.perf_counter() - started[1] < 1.0
    assert json.loads(handover_path(run.directory).read_text())["state"] == "completed"


def test_a_job_with_another_server_delivers_by_itself(tmp_path, database):
    delivery = sweep_of(tmp_path, f"sqlite:///{database}")
    tracker, run = job(tmp_path, 0, delivery, "http://127.0.0.1:9")
    assert tracker._child is not None and tracker._child.process is not None
    assert not handover_path(run.directory).exists()
    end_process(tracker._child.process)


def test_a_sweep_continued_elsewhere_takes_new_jobs_to_where_it_began(tmp_path, monkeypatch):
    uri = "sqlite:///outputs/mlflow.db"
    began = f"sqlite:///{tmp_path}/outputs/mlflow.db"
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "mlflow.db").touch()
    mark = MarkFile(RunDirectory(tmp_path / "sweep").tracker("mlflow"))
    mark.save(began, Mark(written=uri))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    delivery = sweep_of(tmp_path, uri)
    tracker, run = job(tmp_path, 0, delivery, uri)
    assert delivery.address == began
    assert tracker._child is None
    assert json.loads(handover_path(run.directory).read_text())["order"]["uri"] == began


def test_a_continued_sweep_goes_on_with_its_runs(tmp_path, database):
    uri = f"sqlite:///{database}"
    first = sweep_of(tmp_path, uri)
    done = whole_job(tmp_path, 0, first, uri, state="completed")
    first.add(tmp_path / "sweep" / "1")
    _, killed = job(tmp_path, 1, first, uri)
    write_rows(killed, 0, 5)
    first.ended(killed.directory.path, "lost")
    assert first.close("cancelled", summary={"best_score": 0.1}) == []
    before = in_mlflow(database)
    assert (before[0].status, before[1]["1"].status) == ("KILLED", "KILLED")

    again = sweep_of(tmp_path, uri)
    again.ended(done.directory.path, "completed")
    again.add(killed.directory.path)
    tracker, _ = job(tmp_path, 1, again, uri)
    write_rows(killed, 5, 9)
    tracker.finish("completed")
    again.ended(killed.directory.path, "completed")
    assert again.close("completed", summary={"best_score": 0.2}) == []
    parent, children = in_mlflow(database)
    assert (parent.run_id, parent.status) == (before[0].run_id, "FINISHED")
    assert {name: run.run_id for name, run in children.items()} == {
        name: run.run_id for name, run in before[1].items()
    }
    assert [run.status for run in children.values()] == ["FINISHED", "FINISHED"]
    assert children["1"].metrics == expected_metrics(9)


def test_a_run_continued_by_hand_stays_below_its_sweep(tmp_path, database):
    uri = f"sqlite:///{database}"
    delivery = sweep_of(tmp_path, uri)
    run = whole_job(tmp_path, 0, delivery, uri, state="preempted")
    assert delivery.close("preempted") == []
    alone = MLflowTracker(tracking_uri=uri)
    alone.start(tracked_run(run.directory.path))
    write_rows(run, 5, 9)
    alone.finish("completed")
    parent, children = in_mlflow(database)
    assert (parent.status, children["0"].status) == ("KILLED", "FINISHED")
    assert children["0"].metrics == expected_metrics(9)


def test_a_killed_delivery_process_is_started_again(tmp_path, database, quick):
    uri = f"sqlite:///{database}"
    delivery = sweep_of(tmp_path, uri)
    run = whole_job(tmp_path, 0, delivery, uri, state="completed")
    wait_until(lambda: delivery._process is not None)
    first = delivery._process
    first.kill()
    wait_until(lambda: delivery._process not in (None, first))
    whole_job(tmp_path, 1, delivery, uri, state="failed")
    delivery._process.kill()  # at once before the end, too
    assert delivery.close("failed") == []
    parent, children = in_mlflow(database)
    assert parent.status == "FAILED"
    assert [run.status for run in children.values()] == ["FINISHED", "FAILED"]
    assert all(run.metrics == expected_metrics(5) for run in children.values())
    assert run.directory.path.name in children


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 4))])
def test_a_delivery_killed_at_any_instant_delivers_each_value_once(tmp_path, database, seed):
    uri = f"sqlite:///{database}"
    chance = random.Random(seed)
    paths = [tmp_path / "sweep" / str(number) for number in range(8)]
    delivery = sweep_of(tmp_path, uri)
    for path in paths:
        delivery.ended(path, "lost")
        _, run = job(tmp_path, int(path.name), delivery, uri)
        write_rows(run, 0, 40, num_values=4)
    wait_until(lambda: delivery._process is not None and not delivery._news)
    with _closing_in_background(delivery) as process:
        marks = [RunDirectory(path).tracker("mlflow") for path in paths]
        goal = chance.randrange(1, len(paths))
        wait_until(lambda: sum(mark.exists() for mark in marks) >= goal)
        time.sleep(chance.random() * 0.03)
        process.kill()

    again = sweep_of(tmp_path, uri)
    for path in paths:
        again.ended(path, "lost")
    assert again.close("completed") == []
    parent, children = in_mlflow(database)
    assert parent.status == "FINISHED"
    assert len(children) == len(paths)
    for run in children.values():
        assert (run.status, run.metrics) == ("KILLED", expected_metrics(40, num_values=4))


@contextmanager
def _closing_in_background(delivery):
    """Tell the process to end, as `close` does, but do not start it again."""
    delivery._stop_talking()
    write_message(delivery._process.stdin, Ending(state="completed", seconds=60.0))
    yield delivery._process
    delivery._process.wait()
    delivery._process.stdin.close()


SWEEP_THAT_DIES = """
import os, signal, sys, threading
from pathlib import Path
from tests.trackers.mlflow.test_sweep_delivery import job, sweep_of, whole_job
from tests.trackers.mlflow.world import wait_until, write_rows
path, uri = Path(sys.argv[1]), sys.argv[2]
delivery = sweep_of(path, uri)
whole_job(path, 0, delivery, uri, state="completed")
delivery.add(path / "sweep" / "1")
_, run = job(path, 1, delivery, uri)
write_rows(run, 0, 5)
wait_until(lambda: delivery._process is not None and not delivery._news)
print(delivery._process.pid, flush=True)
if len(sys.argv) > 3:
    delivery.ended(run.directory.path, "lost")
    kill = threading.Timer(float(sys.argv[3]), os.kill, (os.getpid(), signal.SIGKILL))
    kill.start()
    delivery.close("completed")
    kill.join()
os.kill(os.getpid(), signal.SIGKILL)
"""


def sweep_that_dies(path: Path, uri: str, *more: str) -> int:
    """Return the process id of the delivery that a killed sweep leaves."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    died = subprocess.run(
        [sys.executable, "-c", SWEEP_THAT_DIES, str(path), uri, *more],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert died.returncode == -signal.SIGKILL
    return int(died.stdout)


def test_after_a_killed_sweep_all_that_is_there_arrives_and_nothing_stays(tmp_path, database):
    uri = f"sqlite:///{database}"
    pid = sweep_that_dies(tmp_path, uri)
    wait_until(lambda: not _is_alive(pid))
    parent, children = in_mlflow(database)
    assert (parent.status, children["0"].status, children["1"].status) == (
        "KILLED",
        "FINISHED",
        "KILLED",
    )
    assert all(run.metrics == expected_metrics(5) for run in children.values())


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 1.2, 1.7, 2.2])
def test_a_sweep_killed_at_any_instant_of_its_end_is_delivered_once(tmp_path, database, seconds):
    uri = f"sqlite:///{database}"
    sweep_that_dies(tmp_path, uri, str(seconds))
    again = sweep_of(tmp_path, uri)  # at once, beside the delivery that is left
    again.ended(tmp_path / "sweep" / "0", "completed")
    again.ended(tmp_path / "sweep" / "1", "lost")
    assert again.close("completed") == []
    parent, children = in_mlflow(database)
    states = (parent.status, children["0"].status, children["1"].status)
    assert states == ("FINISHED", "FINISHED", "KILLED")
    assert all(run.metrics == expected_metrics(5) for run in children.values())


@pytest.mark.slow
def test_a_delivery_whose_sweep_died_leaves_for_the_next_one(tmp_path, database):
    """A job that saves and leaves is waited for, but not by one whose successor waits."""
    uri = f"sqlite:///{database}"
    status = RunDirectory(tmp_path / "sweep" / "1").status
    write_status(status, Status(state="running"))
    lease = Lease(RunDirectory(status.parent).lease, on_beat=lambda: None, stop=StopRequests())
    lease.acquire()
    try:
        pid = sweep_that_dies(tmp_path, uri)
        mark = MarkFile(RunDirectory(tmp_path / "sweep").tracker("mlflow"))
        wait_until(lambda: mark.load(uri).state == "KILLED")
        assert _is_alive(pid)
        again = sweep_of(tmp_path, uri)
        again.ended(tmp_path / "sweep" / "1", "preempted")
        assert again.close("preempted", timeout_seconds=30.0) == []
        assert not _is_alive(pid)
    finally:
        lease.release()
    _, children = in_mlflow(database)
    assert {run.status for run in children.values()} == {"FINISHED", "KILLED"}


def test_a_server_that_is_down_costs_a_bounded_wait_and_one_sentence_without_password(
    tmp_path, caplog, monkeypatch
):
    monkeypatch.setenv("TRACKING_PASSWORD", SECRET)
    uri = f"http://me:{SECRET}@127.0.0.1:9"
    location = "ftp://me@127.0.0.1/artifacts"
    delivery = sweep_of(tmp_path, uri, artifact_location=location)
    run = whole_job(tmp_path, 0, delivery, uri, artifact_location=location, state="completed")
    started = time.perf_counter()
    with caplog.at_level(logging.WARNING):
        missing = delivery.close("completed", timeout_seconds=6.0)  # importing mlflow takes some
    assert time.perf_counter() - started < 9.0
    assert missing == [run.directory.path, tmp_path / "sweep"]
    (record,) = caplog.records
    assert "1 of its 1 runs and its own are not complete there" in record.message
    assert SECRET not in caplog.text
    log = tmp_path / "sweep" / "logs" / "mlflow.log"
    assert log.read_text().count("WARNING not delivered") == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert handover_path(run.directory) in files
    assert log in files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_server_may_be_away_for_a_part_of_the_sweep(tmp_path, caplog):
    server = Server(tmp_path / "server")
    delivery = sweep_of(tmp_path, server.uri)
    whole_job(tmp_path, 0, delivery, server.uri, state="completed")
    delivery.add(tmp_path / "sweep" / "1")
    tracker, run = job(tmp_path, 1, delivery, server.uri)
    server.start()
    try:
        write_rows(run, 0, 20)
        wait_until(lambda: num_children(server.database) == 2)
    finally:
        server.stop()
    write_rows(run, 20, 30)
    assert len(delivery.close("preempted", timeout_seconds=3.0)) == 2
    assert "1 of its 2 runs and its own" in caplog.text

    server.start()
    try:
        again = sweep_of(tmp_path, server.uri)
        again.ended(tmp_path / "sweep" / "0", "completed")
        again.add(run.directory.path)
        tracker, _ = job(tmp_path, 1, again, server.uri)
        wait_until(lambda: len(in_mlflow(server.database)[1]["1"].metrics) == 60)
        parent, children = in_mlflow(server.database)
        assert (parent.status, children["1"].status) == ("RUNNING", "RUNNING")
        server.stop()
        write_rows(run, 30, 40)
        tracker.finish("completed", [run.directory.config])
        again.ended(run.directory.path, "completed")
        time.sleep(3.0)
        server.start()
        assert again.close("completed") == []
    finally:
        server.stop()
    parent, children = in_mlflow(server.database)
    assert [run.status for run in (parent, *children.values())] == ["FINISHED"] * 3
    assert children["0"].metrics == expected_metrics(5)
    assert children["1"].metrics == expected_metrics(40)
    assert list((tmp_path / "server" / "artifacts").rglob("model/config.yaml"))


def test_the_sweep_itself_imports_neither_mlflow_nor_torch():
    program = """
import sys, runner.trackers.mlflow.sweep
assert not {"mlflow", "torch"} & set(sys.modules)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_name_for_runs_is_not_that_of_the_sweep(tmp_path):
    tracker = MLflowTracker(tracking_uri="http://127.0.0.1:9", run_name="lr_0.1", tags={"a": "b"})
    delivery = SweepDelivery(tracker, tracked_run(tmp_path / "lr"))
    assert delivery._order.name == "lr"
    assert delivery._order.tags == {"runner.sweep": "lr", "a": "b"}

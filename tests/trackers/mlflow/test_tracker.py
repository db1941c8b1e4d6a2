import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from runner.errors import ConfigError
from runner.trackers.mlflow.mark import MarkFile
from runner.trackers.mlflow.tracker import MLflowTracker
from tests.trackers.mlflow.world import (
    Server,
    expected_metrics,
    stored_runs,
    tracked_run,
    wait_until,
    write_rows,
)

SECRET = "hunter2-and-more"
FIRST_STORE = "sqlite:///outputs/mlflow.db"
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")


@pytest.fixture
def database(tmp_path):
    return tmp_path / "outputs" / "mlflow.db"


@pytest.fixture
def tracker(database):
    return MLflowTracker(tracking_uri=f"sqlite:///{database}")


@pytest.fixture
def with_tables(database, empty_store):
    """The database exists: an interruption waits 10 s, too little to make it on a busy machine."""
    database.parent.mkdir(parents=True)
    shutil.copy(empty_store, database)


def resumed(database, run):
    tracker = MLflowTracker(tracking_uri=f"sqlite:///{database}")
    tracker.start(run)
    return tracker


def test_all_of_a_run_arrives(tmp_path, database):
    tracker = MLflowTracker(
        tracking_uri=f"sqlite:///{database}", run_name="baseline", tags={"team": "ocr", "try": 2}
    )
    parameters = {"optimizer": {"lr": 1e-3}, "text": "v" * 7000, "a@b": None}
    parameters |= {f"many_{number}": number for number in range(150)}
    run = tracked_run(tmp_path / "runs" / "first", parameters=parameters, tags={"git": "abc123"})
    weights = tmp_path / "checkpoint" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    run.directory.plots.mkdir()
    (run.directory.plots / "samples.png").write_bytes(b"png")

    started = time.perf_counter()
    tracker.start(run)
    assert time.perf_counter() - started < 1.0
    write_rows(run, 0, 700)
    tracker.finish("completed", [weights.parent])

    (stored,) = stored_runs(database)
    assert (stored.name, stored.status) == ("baseline", "FINISHED")
    assert stored.metrics == expected_metrics(700)
    assert stored.parameters["optimizer.lr"] == "0.001"
    assert stored.parameters["a_b"] == "null"
    assert len(stored.parameters["text"]) == 6000
    assert len(stored.parameters) == 153
    assert stored.tags["git"] == "abc123"
    assert (stored.tags["team"], stored.tags["try"]) == ("ocr", "2")
    artifacts = database.parent / "mlflow_artifacts" / stored.run_id / "artifacts"
    assert (artifacts / "config.yaml").read_text() == "seed: 0\n"
    assert (artifacts / "model" / "model.safetensors").read_bytes() == b"weights"
    assert (artifacts / "plots" / "samples.png").exists()


@pytest.mark.usefixtures("with_tables")
def test_a_resumed_run_even_a_moved_one_goes_on_in_its_mlflow_run(tmp_path, database, tracker):
    run = tracked_run(tmp_path / "run", parameters={"trainer": {"max_steps": 10}})
    tracker.start(run)
    write_rows(run, 0, 10)
    tracker.finish("preempted")
    (first,) = stored_runs(database)
    assert first.status == "KILLED"

    run.directory.path.rename(tmp_path / "moved")
    longer = tracked_run(tmp_path / "moved", parameters={"trainer": {"max_steps": 20}, "new": 1})
    tracker = resumed(database, longer)
    write_rows(longer, 10, 20)
    tracker.finish("failed")
    (second,) = stored_runs(database)
    assert (second.run_id, second.status) == (first.run_id, "FAILED")
    assert second.metrics == expected_metrics(20)
    assert second.parameters == {"trainer.max_steps": "10", "new": "1"}
    assert second.tags["changed.trainer.max_steps"] == "20"


@pytest.mark.parametrize("change", ["folder", "environment"])
def test_a_run_resumed_elsewhere_goes_on_in_its_mlflow_run(
    tmp_path, empty_store, monkeypatch, caplog, change
):
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "outputs").mkdir(parents=True)
    shutil.copy(empty_store, here / "outputs" / "mlflow.db")
    written = second = FIRST_STORE
    if change == "environment":
        written, second = "${oc.env:MLFLOW_STORE}", f"sqlite:///{there / 'other.db'}"
    run = tracked_run(tmp_path / "run", settings={"tracking_uri": written})
    for folder, uri, state in ((here, FIRST_STORE, "preempted"), (there, second, "completed")):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        tracker = MLflowTracker(tracking_uri=uri)
        with caplog.at_level(logging.INFO):
            tracker.start(run)
        write_rows(run, 0, 10)
        tracker.finish(state)
    (stored,) = stored_runs(here / "outputs" / "mlflow.db")
    assert (stored.status, stored.metrics) == ("FINISHED", expected_metrics(10))
    assert not list(there.rglob("*.db"))
    (line,) = caplog.messages
    assert f"goes on at sqlite:///{here}/outputs/mlflow.db, where it began" in line


def test_another_address_in_the_config_is_obeyed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stores = [FIRST_STORE, "sqlite:///other/mlflow.db"]
    for uri, state in zip(stores, ("preempted", "completed"), strict=True):
        run = tracked_run(tmp_path / "run", settings={"tracking_uri": uri})
        tracker = MLflowTracker(tracking_uri=uri)
        tracker.start(run)
        write_rows(run, 0, 3)
        tracker.finish(state)
    states = [stored_runs(tmp_path / uri.removeprefix("sqlite:///"))[0].status for uri in stores]
    assert states == ["KILLED", "FINISHED"]


def test_a_delivery_killed_at_any_place_delivers_each_value_once(tmp_path, database, tracker):
    run = tracked_run(tmp_path / "run")
    mark_path = run.directory.tracker("mlflow")
    address = f"sqlite:///{database}"
    write_rows(run, 0, 1500, num_values=8)
    tracker.start(run)
    finishing = threading.Thread(target=tracker.finish, args=("completed",))
    finishing.start()
    wait_until(lambda: MarkFile(mark_path).load(address).rows > 0)
    process_of(tracker).kill()
    finishing.join()
    mark = MarkFile(mark_path).load(address)
    # As if the kill had come between the last delivery and writing the mark.
    mark.offset, mark.rows, mark.run_id = 0, 0, None
    MarkFile(mark_path).save(address, mark)

    resumed(database, run).finish("completed")
    (stored,) = stored_runs(database)
    assert stored.status == "FINISHED"
    assert stored.metrics == expected_metrics(1500, num_values=8)


@pytest.mark.parametrize("bytes_kept", [0.4, 0.9])
def test_a_journal_that_lost_its_end_is_delivered_once(tmp_path, database, tracker, bytes_kept):
    """A power loss took rows that had arrived; the steps ran again, a second later."""
    run = tracked_run(tmp_path / "run")
    write_rows(run, 0, 10)
    tracker.start(run)
    tracker.finish("failed")
    journal = run.directory.journal
    whole = journal.read_bytes()
    kept = whole[: int(bytes_kept * len(whole))].rfind(b"\n") + 1
    journal.write_bytes(whole[:kept])
    num_kept = whole[:kept].count(b"\n")
    if bytes_kept > 0.5:  # longer than it was: the mark lies inside a line
        num_new = 12
        write_rows(run, num_kept, num_new, seconds_later=0.123456)
    else:
        num_new = 8
        write_rows(run, num_kept, num_new, seconds_later=1.0)

    resumed(database, run).finish("completed")
    write_rows(run, num_new, 20)
    resumed(database, run).finish("completed")
    (stored,) = stored_runs(database)
    assert stored.status == "FINISHED"
    assert [(key, step) for key, step, _, _ in stored.metrics] == [
        (key, step) for key, step, _, _ in expected_metrics(20)
    ]
    log = (run.directory.logs / "mlflow.log").read_text()
    assert log.count("is no line of the journal") == 1


@needs_proc
def test_a_delivery_outlives_stop_signals_and_is_started_again_if_it_died(
    tmp_path, database, tracker
):
    run = tracked_run(tmp_path / "run")
    tracker.start(run)
    process = process_of(tracker)
    assert os.getpgid(process.pid) != os.getpgid(0)  # Ctrl-C does not reach it
    assert os.getsid(process.pid) == os.getsid(0)
    wait_until(lambda: _ignores(process.pid, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1))
    process.kill()
    write_rows(run, 0, 5)
    tracker.finish("completed")
    (stored,) = stored_runs(database)
    assert (stored.status, stored.metrics) == ("FINISHED", expected_metrics(5))


def test_runs_that_start_at_once_share_a_new_store(tmp_path, database):
    runs = [tracked_run(tmp_path / f"run_{number}") for number in range(2)]
    trackers = [resumed(database, run) for run in runs]
    for run in runs:
        write_rows(run, 0, 3)
    threads = [threading.Thread(target=tracker.finish, args=("completed",)) for tracker in trackers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = stored_runs(database)
    assert sorted(run.name for run in stored) == ["run_0", "run_1"]
    assert all((run.status, run.metrics) == ("FINISHED", expected_metrics(3)) for run in stored)


@needs_proc
def test_after_a_killed_training_process_all_arrives_and_nothing_stays(tmp_path, database):
    program = f"""
import os, signal
from pathlib import Path
from runner.trackers.mlflow.tracker import MLflowTracker
from tests.trackers.mlflow.world import tracked_run, write_rows
run = tracked_run(Path({str(tmp_path / "run")!r}))
tracker = MLflowTracker(tracking_uri="sqlite:///{database}")
tracker.start(run)
write_rows(run, 0, 7)
print(tracker._child.process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    died = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert died.returncode == -signal.SIGKILL
    delivery = int(died.stdout)
    wait_until(lambda: not _is_alive(delivery))
    (stored,) = stored_runs(database)
    assert (stored.status, stored.metrics) == ("KILLED", expected_metrics(7))


def test_a_server_that_is_down_costs_a_bounded_wait_and_one_warning(tmp_path, caplog):
    tracker = MLflowTracker(tracking_uri="http://127.0.0.1:9", finish_timeout_seconds=4.0)
    run = tracked_run(tmp_path / "run")
    tracker.start(run)
    write_rows(run, 0, 12)
    started = time.perf_counter()
    with caplog.at_level(logging.WARNING):
        tracker.finish("completed")
    assert time.perf_counter() - started < 8.0
    (record,) = caplog.records
    assert "http://127.0.0.1:9 did not take all" in record.message
    assert "12 rows" in record.message
    assert str(run.directory.path) in record.message


def test_a_server_may_be_down_for_a_part_of_the_run(tmp_path, caplog):
    server = Server(tmp_path / "server")
    run = tracked_run(tmp_path / "run")
    server.start()
    try:
        first = MLflowTracker(tracking_uri=server.uri)
        first.start(run)
        write_rows(run, 0, 10)
        first.finish("preempted")
    finally:
        server.stop()
    assert not caplog.records
    down = MLflowTracker(tracking_uri=server.uri, finish_timeout_seconds=3.0)
    down.start(run)
    write_rows(run, 10, 20)
    down.finish("failed")
    assert "10 rows" in caplog.text
    server.start()
    try:
        last = MLflowTracker(tracking_uri=server.uri)
        last.start(run)
        write_rows(run, 20, 30)
        last.finish("completed", [run.directory.config])
    finally:
        server.stop()
    (stored,) = stored_runs(server.database)
    assert (stored.status, stored.metrics) == ("FINISHED", expected_metrics(30))
    assert list((tmp_path / "server" / "artifacts").rglob("model/config.yaml"))


@needs_proc
def test_a_password_reaches_no_file_and_no_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKING_PASSWORD", SECRET)
    uri = f"http://me:{SECRET}@127.0.0.1:9"
    tracker = MLflowTracker(tracking_uri=uri, finish_timeout_seconds=4.0)
    run = tracked_run(tmp_path / "run")
    tracker.start(run)
    write_rows(run, 0, 1)
    command_line = Path(f"/proc/{process_of(tracker).pid}/cmdline")
    assert SECRET not in command_line.read_text()
    tracker.finish("completed")
    files = [path for path in run.directory.path.rglob("*") if path.is_file()]
    assert run.directory.logs / "mlflow.log" in files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_a_literal_password_is_refused_when_the_tracker_is_made():
    with pytest.raises(ConfigError, match="password"):
        MLflowTracker(tracking_uri=f"http://me:{SECRET}@server")


def test_starting_imports_no_mlflow(tmp_path):
    program = "import sys, runner.trackers.mlflow.tracker; assert 'mlflow' not in sys.modules"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def process_of(tracker: MLflowTracker) -> subprocess.Popen[str]:
    assert tracker._child is not None and tracker._child.process is not None
    return tracker._child.process


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def _ignores(pid: int, *signals: signal.Signals) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = int(next(line for line in lines if line.startswith("SigIgn")).split()[1], 16)
    return all(mask >> (number - 1) & 1 for number in signals)

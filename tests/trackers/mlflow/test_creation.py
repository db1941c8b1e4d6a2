"""A store that does not exist yet, met by many runs at once, or by one that is killed."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from runner.trackers.mlflow.creation import create_store
from runner.trackers.mlflow.tracker import MLflowTracker
from tests.trackers.mlflow.world import (
    Server,
    expected_metrics,
    read_runs,
    stored_runs,
    tracked_run,
    write_rows,
)
from tests.trackers.postgres import PASSWORD, USER, programs, running_postgres

pytest.importorskip("psycopg2")


@pytest.fixture(scope="module")
def postgres():
    try:
        programs()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    with running_postgres() as running:
        yield running


@pytest.fixture
def password(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


def deliver_at_once(tmp_path, uri, *, num_runs, num_rows=3):
    """Start the runs at once, and end them at once."""
    runs = [tracked_run(tmp_path / f"run_{number}") for number in range(num_runs)]
    trackers = [
        MLflowTracker(
            tracking_uri=uri,
            finish_timeout_seconds=90.0,
            artifact_location=(tmp_path / "artifacts").as_uri(),
        )
        for _ in runs
    ]
    for run, tracker in zip(runs, trackers, strict=True):
        tracker.start(run)
        write_rows(run, 0, num_rows)
    with ThreadPoolExecutor(num_runs) as threads:
        list(threads.map(lambda tracker: tracker.finish("completed"), trackers))
    return runs


def check_runs(stored, *, num_runs, num_rows=3):
    assert sorted(run.name for run in stored) == [f"run_{number}" for number in range(num_runs)]
    for run in stored:
        assert (run.status, run.metrics) == ("FINISHED", expected_metrics(num_rows))


def test_runs_that_start_at_once_share_a_new_postgresql(tmp_path, postgres, password):
    uri = postgres.create("at_once").replace("+psycopg2", "")  # as users write it
    runs = deliver_at_once(tmp_path, uri, num_runs=4)
    check_runs(read_runs(lambda question: postgres.query("at_once", question)), num_runs=4)
    names = postgres.query("at_once", "SELECT name FROM experiments ORDER BY experiment_id")
    assert names == [("Default",), ("plates",)]
    logs = [(run.directory.logs / "mlflow.log").read_text() for run in runs]
    assert sum("Creating initial MLflow database tables" in log for log in logs) == 1
    assert not any("not delivered" in log for log in logs)


def test_a_server_that_still_makes_its_tables_is_asked_again(tmp_path, postgres, password):
    server = Server(tmp_path / "server", backend=postgres.create("behind"))
    server.start(wait=False)
    try:
        deliver_at_once(tmp_path, server.uri, num_runs=2)
    finally:
        server.stop()
    check_runs(read_runs(lambda question: postgres.query("behind", question)), num_runs=2)


def test_a_postgresql_that_restarts_gets_each_value_once_and_keeps_its_password(
    tmp_path, postgres, monkeypatch
):
    postgres.create("restart")
    monkeypatch.setenv("STORE_PASSWORD", PASSWORD)
    uri = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{postgres.port}/restart"
    run = tracked_run(tmp_path / "run")
    postgres.stop()
    down = MLflowTracker(tracking_uri=uri, finish_timeout_seconds=4.0)
    down.start(run)
    write_rows(run, 0, 10)
    down.finish("failed")
    postgres.start()
    up = MLflowTracker(tracking_uri=uri, artifact_location=(tmp_path / "files").as_uri())
    up.start(run)
    write_rows(run, 10, 20)
    up.finish("completed")
    (stored,) = read_runs(lambda question: postgres.query("restart", question))
    assert (stored.status, stored.metrics) == ("FINISHED", expected_metrics(20))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert run.directory.logs / "mlflow.log" in files
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


# MLflow's own, of the SQLAlchemy that is installed
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_a_process_killed_while_it_makes_a_sqlite_store_leaves_none(tmp_path, monkeypatch):
    """Half a migration is a store that MLflow can neither use nor mend."""
    from mlflow.store.db import utils

    database = tmp_path / "outputs" / "mlflow.db"

    class KilledError(BaseException): ...

    def die(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(utils, "_upgrade_db", die)
        with pytest.raises(KilledError):
            create_store(f"sqlite:///{database}")
    assert not database.exists()
    create_store(f"sqlite:///{database}")
    assert stored_runs(database) == []
    assert {path.name for path in database.parent.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_a_store_that_is_there_is_left_alone(tmp_path):
    database = tmp_path / "mlflow.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE experiments (experiment_id INTEGER)")
        connection.execute("INSERT INTO experiments VALUES (0)")
    before = database.read_bytes()
    create_store(f"sqlite:///{database}")
    create_store("http://127.0.0.1:9")
    assert database.read_bytes() == before

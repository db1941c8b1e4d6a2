"""A real store, of which a request is done though its answer never comes."""

import math
import shutil
import sqlite3
from contextlib import closing

import pytest

from runner.run.journal import Journal, Row
from runner.trackers.delivery.messages import Ending
from runner.trackers.mlflow.delivery import Delivery
from runner.trackers.mlflow.store import MLflowStore
from runner.trackers.mlflow.tracker import MLflowTracker
from tests.trackers.mlflow.mirrored import compare, num_runs
from tests.trackers.mlflow.world import (
    START,
    expected_metrics,
    stored_runs,
    tracked_run,
    write_rows,
)

# MLflow's own, of the SQLAlchemy that is installed
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


class SlowServer(MLflowStore):
    """Creates a run, but late: the answer is lost, and it is not there when first looked for."""

    def __init__(self, uri):
        super().__init__(uri)
        self.num_created = 0

    def create_run(self, mark, **more):
        created = super().create_run(mark, **more)
        self.num_created += 1
        if self.num_created == 1:
            raise ConnectionError("read timed out")
        return created

    def find_run(self, mark):
        return super().find_run(mark) if self.num_created > 1 else None


def test_a_run_created_twice_by_a_slow_server_is_there_once_with_all_values(tmp_path):
    database = tmp_path / "mlflow.db"
    uri = f"sqlite:///{database}"

    def ask(question):
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute(question).fetchall()

    run = tracked_run(tmp_path / "run")
    journal = Journal(run.directory.journal)
    for step, value in enumerate([0.5, math.nan, math.inf, -math.inf, 1e308, 3]):
        values = {"loss": value, "accuracy@5": step / 8}
        journal.append(Row(step, step / 10, START + step, "train", values))
    journal.close()
    store = SlowServer(uri)
    delivery = Delivery(MLflowTracker(tracking_uri=uri).order(run), lambda: store)
    with pytest.raises(ConnectionError):
        delivery.deliver_rows()
    delivery.deliver_rows()
    assert num_runs(ask) == 2
    delivery.deliver_all(Ending(state="completed", seconds=1.0))
    assert num_runs(ask) == 1
    found = compare(run.directory, uri, ask)
    assert found.is_exact
    assert found.values == 12


def test_an_experiment_opens_in_the_pages_for_training(tmp_path, empty_store):
    database = shutil.copy(empty_store, tmp_path / "mlflow.db")
    id = MLflowStore(f"sqlite:///{database}").open_experiment("plates", artifact_location=None)
    with closing(sqlite3.connect(database)) as connection:
        question = f"SELECT key, value FROM experiment_tags WHERE experiment_id = {id}"
        tags = dict(connection.execute(question).fetchall())
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_second_copy_finds_that_the_run_of_its_original_is_taken(tmp_path, empty_store):
    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"
    store, tracker, path = MLflowStore(uri), MLflowTracker(tracking_uri=uri), tmp_path / "run"

    def go_on(path, first, last):
        run = tracked_run(path)
        write_rows(run, first, last)
        Delivery(tracker.order(run), lambda: store).deliver_rows()

    go_on(path, 0, 3)
    copies = [shutil.copytree(path, tmp_path / name) for name in ("first", "second")]
    shutil.rmtree(path)
    for copy in copies:
        go_on(copy, 3, 5)
    go_on(copies[0], 5, 6)
    first, second = sorted(stored_runs(tmp_path / "mlflow.db"), key=lambda run: -len(run.metrics))
    assert (first.metrics, second.metrics) == (expected_metrics(6), expected_metrics(5))
    assert "runner.holder" in first.tags and "runner.holder" not in second.tags

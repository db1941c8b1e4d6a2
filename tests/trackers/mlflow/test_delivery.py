import os

import pytest

from runner.run.directory import RunDirectory
from runner.run.status import Status, write_status
from runner.trackers.delivery.messages import Ending
from runner.trackers.mlflow.delivery import Delivery
from tests.trackers.mlflow.fake_store import FakeStore as Store
from tests.trackers.mlflow.fake_store import order_of, values_of
from tests.trackers.mlflow.world import tracked_run, write_rows


class FakeStore:
    """Notes what is logged, and whether the journal was on the disk by then."""

    def __init__(self):
        self.happened = []

    def open_experiment(self, name, *, artifact_location):
        return "1"

    def create_run(self, mark, *, name, started_ms, tags):
        return "run"

    def log_file(self, run_id, file, *, folder): ...

    def log(self, run_id, rows, **more):
        self.happened.append(f"delivered {len(rows)}")


def test_what_mlflow_gets_a_power_loss_does_not_take_from_the_journal(tmp_path, monkeypatch):
    store = FakeStore()
    synced = []

    def note_sync(descriptor):
        synced.append(os.fstat(descriptor).st_ino)
        if synced[-1] == journal.stat().st_ino:
            store.happened.append("synced")

    run = tracked_run(tmp_path / "run")
    journal = RunDirectory(tmp_path / "run").journal
    write_rows(run, 0, 3)
    delivery = Delivery(order_of(run), lambda: store)
    monkeypatch.setattr(os, "fsync", note_sync)
    delivery.deliver_rows()
    assert store.happened == ["synced", "delivered 3", "delivered 0"]


def test_a_mark_that_was_lost_asks_mlflow_what_it_has(tmp_path):
    """As after a kill between a delivery and its mark."""
    store, run = Store(), tracked_run(tmp_path / "run")
    write_rows(run, 0, 3)
    store.fails_after = 1  # the rows are there, and the mark does not know
    with pytest.raises(ConnectionError):
        Delivery(order_of(run), lambda: store).deliver_rows()
    store.fails_after = None
    write_rows(run, 3, 5)
    Delivery(order_of(run), lambda: store).deliver_rows()
    assert store.values["run_0"] == values_of(5)


@pytest.mark.parametrize("rows_again", [0, 2, 9])  # shorter than it was, and longer
def test_a_journal_that_lost_its_end_leaves_no_value_out_and_none_twice(tmp_path, rows_again):
    store, run = Store(), tracked_run(tmp_path / "run")
    write_rows(run, 0, 6)
    Delivery(order_of(run), lambda: store).deliver_rows()
    journal = run.directory.journal
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:2]))
    write_rows(run, 2, 2 + rows_again, num_values=3)  # longer lines: the mark lies inside of one
    Delivery(order_of(run), lambda: store).deliver_rows()
    assert store.values["run_0"][: len(values_of(6))] == values_of(6)
    write_rows(run, 2 + rows_again, 12, num_values=3)
    Delivery(order_of(run), lambda: store).deliver_rows()
    steps = [step for name, step, _ in store.values["run_0"] if name == "train/value_0"]
    assert sorted(steps) == list(range(12))


def test_a_late_delivery_tells_how_the_run_stands_now(tmp_path):
    """It was asked for when the run was preempted, and waited for a job that has completed it."""
    store, run = Store(), tracked_run(tmp_path / "run")
    write_rows(run, 0, 3)
    delivery = Delivery(order_of(run), lambda: store)
    asked = Ending(state="preempted", seconds=1.0, is_late=True)
    write_status(run.directory.status, Status(state="completed", jobs=2))
    delivery.deliver_all(asked)
    assert store.states == {"run_0": "FINISHED"}
    write_status(run.directory.status, Status(state="preempted", jobs=2))
    delivery.deliver_all(asked)
    assert store.states == {"run_0": "KILLED"}

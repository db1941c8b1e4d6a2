import os

from runner.run.directory import RunDirectory
from runner.trackers.mlflow.delivery import Delivery
from runner.trackers.mlflow.order import Order
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
    order = Order(
        directory=str(tmp_path / "run"),
        name="plates",
        uri="http://server",
        written="http://server",
        experiment="plates",
        artifact_location=None,
        started_ms=0,
    )
    delivery = Delivery(order, lambda: store)
    monkeypatch.setattr(os, "fsync", note_sync)
    delivery.deliver_rows()
    assert store.happened == ["synced", "delivered 3", "delivered 0"]

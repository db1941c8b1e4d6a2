import os

from runner.trackers.delivery.messages import write_message
from runner.trackers.mlflow.order import Order, read_order
from runner.trackers.mlflow.tracker import MLflowTracker
from tests.trackers.mlflow.world import tracked_run

ORDER = Order(
    directory="/runs/a",
    name="a",
    uri="http://server",
    written="${oc.env:SERVER}",
    experiment="plates",
    artifact_location=None,
    started_ms=1,
    parameters={"data.alphabet": "بجد"},
)


def test_an_order_arrives_as_it_was():
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as pipe, os.fdopen(writing, "w") as end:
        write_message(end, ORDER)
        assert read_order(pipe) == ORDER


def test_a_secret_in_the_names_is_written_as_stars(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_TOKEN", "sekret-value-12345")
    tracker = MLflowTracker(run_name="x-sekret-value-12345", experiment="sekret-value-12345 runs")
    order = tracker.order(tracked_run(tmp_path / "run"))
    assert (order.name, order.experiment) == ("x-***", "*** runs")

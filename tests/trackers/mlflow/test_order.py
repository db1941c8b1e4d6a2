import os

from runner.trackers.delivery.messages import write_message
from runner.trackers.mlflow.order import Order, read_order

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

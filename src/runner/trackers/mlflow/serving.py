"""`serve`: be a delivery process of MLflow, of one run or of a sweep."""

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from runner.run.directory import RunDirectory
from runner.trackers.delivery.following import SECONDS_IF_PARENT_DIED, Mirror, live
from runner.trackers.delivery.lock import DeliveryLock
from runner.trackers.delivery.messages import Inbox
from runner.trackers.delivery.process import prepare_process
from runner.trackers.mlflow.order import Order, read_order
from runner.trackers.mlflow.process import hide_credentials
from runner.trackers.mlflow.store import MLflowStore

Connect = Callable[[], MLflowStore]


def serve(build: Callable[[Order, Connect, Inbox, DeliveryLock], Mirror]) -> None:
    """Be the process: follow the order on standard input, and exit with 0 if all arrived."""
    parent = os.getppid()
    prepare_process()
    order = read_order(sys.stdin)
    inbox = Inbox(sys.stdin, seconds_if_died=SECONDS_IF_PARENT_DIED)
    uri = hide_credentials(order.uri)
    lock = DeliveryLock(RunDirectory(Path(order.directory)).tracker("mlflow"))
    lock.acquire()
    mirror = build(order, cache(lambda: MLflowStore(uri)), inbox, lock)
    live(mirror, inbox, parent=parent)

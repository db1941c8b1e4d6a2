"""Mirror one run through accelerate: `python -m runner.trackers.accelerate.run_process`."""

import json
import os
import sys

from runner.trackers.accelerate.sink import Delivery
from runner.trackers.follower import Follower
from runner.trackers.mlflow.following import SECONDS_IF_PARENT_DIED, end, follow
from runner.trackers.mlflow.lock import DeliveryLock
from runner.trackers.mlflow.messages import Ending, Inbox
from runner.trackers.mlflow.process import prepare_process


class RunMirror:
    """A follower that is told its end by a message."""

    def __init__(self, follower: Follower) -> None:
        self.has_news = follower.has_news
        self.deliver_rows = follower.deliver_rows
        self._follower = follower

    def deliver_all(self, ending: Ending) -> None:
        self._follower.deliver_all(ending.state)


def main() -> None:
    """Follow the order on standard input, and exit with 0 if all arrived."""
    parent = os.getppid()
    prepare_process()
    delivery = Delivery(**json.loads(sys.stdin.readline()))
    inbox = Inbox(sys.stdin, seconds_if_died=SECONDS_IF_PARENT_DIED)
    follower = delivery.follower()
    lock = DeliveryLock(follower.mark_path)
    lock.acquire()  # held until this process ends
    mirror = RunMirror(follower)
    exit_code = 0 if end(mirror, follow(mirror, inbox, parent=parent)) else 1
    sys.stderr.flush()
    os._exit(exit_code)  # no thread of a library keeps this process alive


if __name__ == "__main__":
    main()

"""Mirror one run through accelerate: `python -m runner.trackers.accelerate.run_process`."""

import json
import os
import sys

from runner.trackers.accelerate.sink import Delivery
from runner.trackers.delivery.following import SECONDS_IF_PARENT_DIED, live
from runner.trackers.delivery.lock import DeliveryLock
from runner.trackers.delivery.messages import Ending, Inbox
from runner.trackers.delivery.process import prepare_process
from runner.trackers.follower import Follower


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
    live(RunMirror(follower), inbox, parent=parent)


if __name__ == "__main__":
    main()

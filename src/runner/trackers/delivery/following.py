"""The life of a delivery process, whether it serves one run or a sweep.

It sleeps beside the training processes, imports what it needs, at low priority, once there is
something to deliver, and ends when told to or when its standard input closes.

    order = first line of standard input
    until the ending arrives:
        deliver what is new; after a failure wait longer
    deliver the rest, the files and the final state, within the time that the ending allows
"""

import os
import random
import sys
import threading
import time
from typing import Protocol

from runner.trackers.delivery.attempts import Attempts
from runner.trackers.delivery.messages import Ending, Inbox
from runner.trackers.delivery.process import step_back

FIRST_DELIVERY_SECONDS = 10.0  # importing mlflow takes 1.5 s of CPU: not while training warms up
POLL_SECONDS = 5.0  # a request costs its server and this machine, however few values it brings
MAX_PAUSE_SECONDS = 10.0  # asking a dead server costs a refused connection
RETRY_AT_END_SECONDS = 0.5
SECONDS_IF_PARENT_DIED = 60.0


class Mirror(Protocol):
    """What is to be delivered; its methods raise whatever a server does, and are called again."""

    def has_news(self) -> bool:
        """Tell whether there is something to deliver; asks no server."""
        ...

    def deliver_rows(self) -> None:
        """Deliver what is new."""
        ...

    def deliver_all(self, ending: Ending) -> None:
        """Deliver what is left, and the final state."""
        ...


def live(mirror: Mirror, inbox: Inbox, *, parent: int) -> None:
    """Follow and end, and leave with 0 if all arrived; `parent` is whose process this is."""
    exit_code = 0 if end(mirror, follow(mirror, inbox, parent=parent)) else 1
    sys.stderr.flush()
    os._exit(exit_code)  # no thread of a library keeps this process alive


def follow(mirror: Mirror, inbox: Inbox, *, parent: int) -> Ending:
    """Deliver while training goes on; return the ending once there is one."""
    earliest = time.monotonic() + FIRST_DELIVERY_SECONDS
    pause = POLL_SECONDS
    is_behind = False
    attempts = Attempts()
    while (ending := inbox.wait(pause)) is None:
        if os.getppid() != parent:
            inbox.parent_died()
        elif time.monotonic() >= earliest and mirror.has_news():
            if not is_behind:
                step_back()
                is_behind = True
            succeeded = attempts.attempt(mirror.deliver_rows)
            pause = POLL_SECONDS if succeeded else longer(pause)
    return ending


def longer(pause: float) -> float:
    """Return the next pause after a failure, never the same for two of many runs of one server."""
    return min(2 * pause, MAX_PAUSE_SECONDS) * random.uniform(0.75, 1.0)


def end(mirror: Mirror, ending: Ending) -> bool:
    """Deliver the rest, trying again until the time is over; return whether all arrived."""
    deadline = time.monotonic() + ending.seconds
    watchdog = threading.Timer(ending.seconds, os._exit, args=(1,))
    watchdog.daemon = True  # a call that hangs must not keep this process alive
    watchdog.start()
    attempts = Attempts()
    try:
        while not attempts.attempt(lambda: mirror.deliver_all(ending)):
            if time.monotonic() + RETRY_AT_END_SECONDS >= deadline:
                return False
            time.sleep(RETRY_AT_END_SECONDS)
    finally:
        watchdog.cancel()
    return True

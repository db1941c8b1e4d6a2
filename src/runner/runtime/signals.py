"""Requests to stop: signals set a flag, training finishes its step, saves and leaves.

SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGUSR2 ask for a stop. A second SIGINT stops at once. When the
work is saved, the handler that was there before is called if it is one: submitit's requeues.
A job that lost its directory to another is `abandoned`: it ends too, but saves nothing.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType, TracebackType

STOP_AFTER_STEP = "RUNNER_STOP_AFTER_STEP"  # by which one process asks another, as `reproduce` does
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class StopRequests:
    """While entered, turns the stop signals into `received`; outside it does nothing."""

    def __init__(self, *, after_step: int | None = None) -> None:
        self.after_step = after_step  # of the training, if its end was known before it began
        self.received: signal.Signals | None = None
        self.abandoned: str | None = None  # why the job must end at once, without saving
        self._frame: FrameType | None = None
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequests":
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                if signal.getsignal(number) == signal.SIG_IGN and number == signal.SIGHUP:
                    continue  # nohup: the run is to outlive its terminal
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def abandon(self, reason: str) -> None:
        """Ask the job to end at the next step without saving: its directory is another's now."""
        self.abandoned = reason

    def forward(self) -> None:
        """Call the handler that was there before runner's, once everything is saved.

        Python's own handler of SIGINT is left out: it only raises KeyboardInterrupt.
        """
        if self.received is None:
            return
        previous = self._previous.get(self.received)
        if callable(previous) and previous is not signal.default_int_handler:
            previous(self.received, self._frame)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        self._frame = frame


def step_to_stop_after() -> int | None:
    """Return the step after which this process was asked to stop when it was started, if it was."""
    text = os.environ.get(STOP_AFTER_STEP, "")
    return int(text) if text.isdecimal() else None


@contextmanager
def held_back_from_children() -> Iterator[None]:
    """Keep the stop signals from processes that are started within.

    A terminal or a cluster signals the whole process group. Loader workers, and the server that
    forks them, must outlive that: the training process alone decides when it stops.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        # Its start lets SIGINT and SIGTERM through again; later it is there already.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def become_a_child() -> None:
    """Make this worker deaf to stop signals that are not meant for it alone.

    It leaves the process group and ignores all but SIGTERM, by which its parent may end it.
    """
    os.setpgid(0, 0)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

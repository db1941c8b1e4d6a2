"""Requests to stop: signals set a flag, training finishes its step, saves and leaves.

SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 ask for a stop. A second SIGINT stops at once. When the work is
saved, the handler that was there before is called if it is one: submitit's requeues the job.
"""

import signal
import threading
from types import FrameType, TracebackType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class StopRequests:
    """While entered, turns the stop signals into `received`; outside it does nothing."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._frame: FrameType | None = None
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequests":
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
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

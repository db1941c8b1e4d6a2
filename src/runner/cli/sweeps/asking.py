"""Ask the user, where there is one, what to do with jobs that live on."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TextIO


def asks_to_cancel(stream: TextIO, received: signal.Signals | None) -> bool:
    """Return whether the user, who has pressed Ctrl-C, wants jobs cancelled.

    They are left where nobody can answer, and where another signal was `received`: it comes from a
    program (`runner cancel`, a terminal that is gone), which waits for no answer.
    """
    if received != signal.SIGINT or not (sys.stdin.isatty() and stream.isatty()):
        return False
    try:
        with _ended_by_any_signal():
            stream.write("leave what is on the cluster, or cancel it? [L/c] ")
            stream.flush()
            return sys.stdin.readline().strip().lower().startswith("c")
    except (KeyboardInterrupt, OSError):  # another signal, or the terminal is gone
        return False


@contextmanager
def _ended_by_any_signal() -> Iterator[None]:
    def leave(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, leave) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""A command that is stopped cleans up and says what is left, whichever signal stops it."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from runner.errors import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)  # SIGINT raises KeyboardInterrupt by itself
_ECHO_SECONDS = 2.0  # `timeout` and a terminal that goes tell a process and its group: it gets two


@contextmanager
def stoppable(left: str) -> Iterator[None]:
    """Within it SIGTERM and SIGHUP unwind as Ctrl-C does; `left` then says what the command leaves.

    Raises Interrupted, which has the exit code, for all three.
    """
    previous = _raise_on_signals()
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as stop:
        print(f"stopped: {left}", file=sys.stderr)
        raise stop if isinstance(stop, Interrupted) else Interrupted(signal.SIGINT) from None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


def _raise_on_signals() -> dict[signal.Signals, object]:
    """Let the signals raise Interrupted; return the handlers that were there before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    last = -_ECHO_SECONDS

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal last
        is_echo = time.monotonic() - last < _ECHO_SECONDS  # it must not cut the cleaning short
        last = time.monotonic()
        if not is_echo:
            raise Interrupted(number)

    taken = [n for n in _SIGNALS if signal.getsignal(n) != signal.SIG_IGN]  # nohup ignores one
    return {number: signal.signal(number, stop) for number in taken}

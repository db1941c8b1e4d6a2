"""A watchdog: work that gives no sign of life for too long is ended, and where it stood is told."""

import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType

import torch.distributed

_LOOKS = 20  # in the time of one timeout
_COLLECTIVES = (
    str(Path(torch.distributed.__file__).parent),
    str(Path(__file__).with_name("ranks.py")),
)


class Watchdog:
    """While entered, calls `on_hang` in a thread of its own when `beat` was not called for so long.

    `on_hang` is given where the thread that entered stands: "file:line in function". A thread that
    waits for other ranks in a collective has some patience more: the rank it waits for is the one
    that hangs, and to be named. Without `timeout_seconds` nothing is watched.
    """

    def __init__(self, timeout_seconds: float | None, on_hang: Callable[[str], None]) -> None:
        self._timeout_seconds = timeout_seconds
        self._on_hang = on_hang
        self._beats = 0
        self._left = threading.Event()
        self._watched = 0
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def beat(self) -> None:
        """Give a sign of life."""
        self._beats += 1

    def __enter__(self) -> "Watchdog":
        self._watched = threading.get_ident()
        if self._timeout_seconds is not None:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left.set()

    def _watch(self) -> None:
        assert self._timeout_seconds is not None
        look_seconds = min(self._timeout_seconds / _LOOKS, 5.0)
        seen, silent_seconds = self._beats, 0.0
        # Looks are counted, not the clock: a machine that slept, or a process that was stopped,
        # has not been silent for as long as the clock says.
        while not self._left.wait(look_seconds):
            if self._beats != seen:
                seen, silent_seconds = self._beats, 0.0
                continue
            silent_seconds += look_seconds
            if silent_seconds < self._timeout_seconds:
                continue
            frame = sys._current_frames().get(self._watched)
            patience = patience_seconds(self._timeout_seconds) if waits_for_others(frame) else 0.0
            if silent_seconds >= self._timeout_seconds + patience:
                self._on_hang(standing(frame))
                return


def patience_seconds(timeout_seconds: float) -> float:
    """Return how much longer than others one that only waits for another rank may be silent.

    The other may have given its last sign of life most of a step later.
    """
    return 10.0 + timeout_seconds / 10


def waits_for_others(frame: FrameType | None) -> bool:
    """Return whether a thread that stands at `frame` is inside a collective."""
    return frame is not None and any(
        step.f_code.co_filename.startswith(_COLLECTIVES) for step, _ in traceback.walk_stack(frame)
    )


def standing(frame: FrameType | None) -> str:
    """Return where a thread stands, in words."""
    if frame is None:
        return "nowhere"
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"

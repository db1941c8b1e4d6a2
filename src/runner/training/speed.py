"""How fast training goes, and how much of the time it waits for data."""

import time
from collections.abc import Callable
from typing import Any


class Speedometer:
    """Counts samples and seconds of training between two rows of the journal.

    Evaluations and saves do not count: they call `pause` and `resume`.
    """

    def __init__(self) -> None:
        self._samples = 0
        self._seconds = 0.0
        self._waited = 0.0
        self._since = time.perf_counter()

    def wait(self, take: Callable[[int], list[Any]], count: int) -> list[Any]:
        """Return what `take` gives for `count`, counting the time it takes to come."""
        start = time.perf_counter()
        taken = take(count)
        self._waited += time.perf_counter() - start
        return taken

    def count(self, samples: int) -> None:
        """Count the samples of one step."""
        self._samples += samples

    def pause(self) -> float:
        """Stop the clock and return the seconds of training since `resume`."""
        seconds = time.perf_counter() - self._since
        self._seconds += seconds
        return seconds

    def resume(self) -> None:
        """Let the clock go on."""
        self._since = time.perf_counter()

    def take(self) -> dict[str, float]:
        """Return the figures since the last call; the clock must be paused."""
        seconds = max(self._seconds, 1e-9)
        figures = {
            "samples_per_second": round(self._samples / seconds, 1),
            "data_wait_share": round(min(1.0, self._waited / seconds), 4),
        }
        self._samples, self._seconds, self._waited = 0, 0.0, 0.0
        return figures

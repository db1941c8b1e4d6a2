"""How far a long piece of work is, told in short texts to whoever waits for it."""

import time
from collections.abc import Callable

Tell = Callable[[str], None]
_PAUSE = 0.1  # seconds


def tell_nobody(_text: str) -> None:
    """Take what is told, where nobody waits."""


class Batches:
    """Counts the batches of a dataset, and tells of them a few times a second."""

    def __init__(self, tell: Tell, name: str, total: int | None) -> None:
        self._tell = tell
        self._name = name
        self._of = "" if total is None else f" of {total:,}"
        self._done = 0
        self._next = 0.0

    def __call__(self) -> None:
        """Count one more."""
        self._done += 1
        if time.monotonic() >= self._next:
            self._tell(f"{self._name}: {self._done:,}{self._of} batches")
            self._next = time.monotonic() + _PAUSE

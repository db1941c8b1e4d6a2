"""Do one thing at a time in the background: write a checkpoint while training goes on."""

from collections.abc import Callable
from concurrent import futures
from typing import Generic, TypeVar

T = TypeVar("T")


class BackgroundWriter(Generic[T]):
    """One thread, and at most one piece of work in flight.

    An interpreter that exits waits for the work; a process that is killed leaves it half done,
    which the store is made for.
    """

    def __init__(self) -> None:
        self._thread = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._in_flight: futures.Future[T] | None = None

    @property
    def is_busy(self) -> bool:
        """Return whether there is work whose outcome was not taken."""
        return self._in_flight is not None

    def start(self, work: Callable[[], T]) -> None:
        """Begin `work`; what was begun before must have been taken."""
        assert self._in_flight is None, "its outcome was not taken"
        self._in_flight = self._thread.submit(work)

    def take(self, *, wait: bool) -> T | None:
        """Return what the work begun last returned, once; raise what it raised.

        None if there is none, or it is not done and `wait` is false.
        """
        work = self._in_flight
        if work is None or not (wait or work.done()):
            return None
        futures.wait([work])  # an interrupt here leaves it in flight
        self._in_flight = None
        return work.result()

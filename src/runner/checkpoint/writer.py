"""Do one thing at a time in the background: write a checkpoint while training goes on."""

from collections.abc import Callable
from concurrent import futures
from typing import Generic, TypeVar

from runner.runtime.ranks import Ranks

_LOOK_SECONDS = 0.2

T = TypeVar("T")


class BackgroundWriter(Generic[T]):
    """One thread, and at most one piece of work in flight.

    The work calls `get_on` whenever it got on. Who waits for it hands that on by `beat`, a sign of
    life: a wait may be long, but not without progress. An interpreter that exits waits for the
    work; a process that is killed leaves it half done, which the store is made for.
    """

    def __init__(self, *, beat: Callable[[], None] = lambda: None) -> None:
        self._thread = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._in_flight: futures.Future[T] | None = None
        self._beat = beat
        self._num_pieces = 0

    @property
    def is_busy(self) -> bool:
        """Return whether there is work whose outcome was not taken."""
        return self._in_flight is not None

    def start(self, work: Callable[[], T]) -> None:
        """Begin `work`; what was begun before must have been taken."""
        assert self._in_flight is None, "its outcome was not taken"
        self._in_flight = self._thread.submit(work)

    def get_on(self) -> None:
        """Say, in the work, that it got on."""
        self._num_pieces += 1

    def take(self, *, wait: bool) -> T | None:
        """Return what the work begun last returned, once; raise what it raised.

        None if there is none, or it is not done and `wait` is false.
        """
        work = self._in_flight
        if work is None or not (wait or work.done()):
            return None
        seen = self._num_pieces
        while not self._is_done_soon():  # an interrupt here leaves it in flight
            seen = self._beat_after(seen, self._num_pieces)
        self._in_flight = None
        return work.result()

    def wait_together(self, ranks: Ranks) -> None:
        """Wait until no rank has work that is not done; all ranks call this.

        Work of any of them that gets on is a sign of life of all.
        """
        if not ranks.are_several:
            return
        seen, is_done = -1, False
        while not is_done:
            told = ranks.gather((self._is_done_soon(), self._num_pieces))
            is_done = all(done for done, _ in told)
            seen = self._beat_after(seen, sum(pieces for _, pieces in told))

    def _is_done_soon(self) -> bool:
        if self._in_flight is None:
            return True
        return bool(futures.wait([self._in_flight], timeout=_LOOK_SECONDS).done)

    def _beat_after(self, seen: int, num_pieces: int) -> int:
        if num_pieces != seen:
            self._beat()
        return num_pieces

"""`FollowingTracker`: a tracker whose sink is fed by a thread beside training.

For sinks on the disk that import little. What imports much, or may draw random numbers, has a
process of its own (mlflow, accelerate): a thread would slow the steps, or change their numbers.
"""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from runner.run.lease import kept_free
from runner.trackers.follower import Follower, OpenSink
from runner.trackers.tracker import Synced, TrackedRun

POLL_SECONDS = 2.0
MAX_PAUSE_SECONDS = 30.0  # after failures
SECONDS_AT_END = 10.0

_log = logging.getLogger(__name__)


class FollowingTracker:
    """Feeds the sink that `open_sink` gives; whatever fails in it is one warning of the run.

    `target` says where the sink is, "" for inside the run directory (see `Follower`).
    """

    def __init__(self, open_sink: OpenSink, *, target: str = "") -> None:
        self._open_sink = open_sink
        self._target = target
        self._feeding: _Feeding | None = None

    def start(self, run: TrackedRun) -> None:
        """Begin to feed the sink."""
        self._feeding = _Feeding(self._follower(run), name=run.tracker)

    def finish(self, state: str, model_files: Sequence[Path] = ()) -> None:  # noqa: ARG002
        """Deliver the rest; waits at most SECONDS_AT_END."""
        if self._feeding is not None:
            self._feeding.finish(state)
            self._feeding = None

    def place(self, run: TrackedRun) -> str:
        """Return how the user calls it: see LateTracker."""
        return f"trackers.{run.tracker}"

    def sync(self, run: TrackedRun, state: str, model_files: Sequence[Path] = ()) -> Synced:  # noqa: ARG002
        """Deliver what a job left undone, of a run that is over: see LateTracker.

        Raises what a disk does.
        """
        follower, place = self._follower(run), self.place(run)
        there, lacking, has_all = follower.standing(state)
        if has_all:
            return Synced(place=place, there=there)
        with kept_free(run.directory.lease) as is_over:
            if not is_over:
                return Synced(place=place, there=there, note="the run goes on and feeds it")
            follower.deliver_all(state)
        return Synced(place=place, there=there, new=lacking, has_told=True)

    def _follower(self, run: TrackedRun) -> Follower:
        return Follower(run, self._open_sink, target=self._target)


class _Feeding:
    """The thread of one job of a run."""

    def __init__(self, follower: Follower, *, name: str) -> None:
        self._follower = follower
        self._name = name
        self._state = ""
        self._is_over = threading.Event()
        self._has_arrived = False
        self._has_warned = False
        self._thread = threading.Thread(target=self._follow, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def finish(self, state: str) -> None:
        self._state = state
        self._is_over.set()
        self._thread.join(SECONDS_AT_END)
        if not self._has_arrived:
            self._warn(f"it did not take all within {SECONDS_AT_END:g} s")

    def _follow(self) -> None:
        pause = POLL_SECONDS
        while not self._is_over.wait(pause):
            succeeded = self._attempt()
            pause = POLL_SECONDS if succeeded else min(2 * pause, MAX_PAUSE_SECONDS)
        self._has_arrived = self._attempt_last()

    def _attempt(self) -> bool:
        try:
            if self._follower.has_news():
                self._follower.deliver_rows()
        except Exception as error:  # whatever a disk or a library does
            self._warn(f"{type(error).__name__}: {error}")
            return False
        return True

    def _attempt_last(self) -> bool:
        try:
            self._follower.deliver_all(self._state)
        except Exception as error:
            self._warn(f"{type(error).__name__}: {error}")
            return False
        return True

    def _warn(self, reason: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "trackers.%s lacks values of this run (%s); nothing is lost: metrics.jsonl has "
                "all, and a resume delivers what is missing",
                self._name,
                reason,
            )

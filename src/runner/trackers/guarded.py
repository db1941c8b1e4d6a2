"""Start and end the trackers of a run: one that fails ends no run, and hides no other."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.trackers.tracker import TrackedRun, Tracker

_log = logging.getLogger(__name__)


def start_trackers(
    trackers: Mapping[str, Tracker], runs: Mapping[str, TrackedRun]
) -> dict[str, Tracker]:
    """Start each with what it is told of its run; return those that could be started."""
    started: dict[str, Tracker] = {}
    for name, tracker in trackers.items():
        try:
            tracker.start(runs[name])
            started[name] = tracker
        except Exception as error:
            _warn(name, error, "the run goes on without it")
    return started


def finish_trackers(trackers: Mapping[str, Tracker], state: str, files: Sequence[Path]) -> None:
    """End them one after another, in the thread that started them: some libraries insist on it."""
    for name, tracker in trackers.items():
        try:
            tracker.finish(state, files)
        except Exception as error:
            _warn(name, error, "it may lack values of this run; metrics.jsonl has all")


def _warn(name: str, error: Exception, consequence: str) -> None:
    _log.warning("trackers.%s failed (%s: %s): %s", name, type(error).__name__, error, consequence)

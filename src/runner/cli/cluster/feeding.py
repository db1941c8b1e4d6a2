"""Feed the trackers of one run on a cluster that only the machine of their store can feed.

A SQLite store is a file of one machine: the job leaves its delivery to whoever watches, and after
that to `sync`.
"""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.cli.sweeps.mirror import trackers_of
from runner.cli.syncing.runs import Feeding, sync_run
from runner.errors import RunnerError
from runner.run.directory import RunDirectory
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.trackers.mlflow.uri import hands_over, without_credentials
from runner.trackers.tracker import TrackedRun

FEED_SECONDS = 60.0

_log = logging.getLogger(__name__)


class RunFeeding:
    """Delivers what the job of one run has logged, once a minute and at the end of the watch."""

    def __init__(self, directory: RunDirectory, config: Mapping[str, Any]) -> None:
        self._directory = directory
        self.delivered_to = _handed_over(directory, config)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._feed, name="feeding", daemon=True)

    def __enter__(self) -> "RunFeeding":
        if self.delivered_to:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self.delivered_to:
            self._thread.join()
            self._deliver()

    def _feed(self) -> None:
        size = 0
        while not self._is_over.wait(FEED_SECONDS):
            now = _size(self._directory.journal)
            if now != size:
                size = now
                self._deliver()

    def _deliver(self) -> None:
        if not self._directory.provenance.exists():  # the job has not begun
            return
        try:
            problems = [each.problem for each in sync_run(self._directory, Feeding(None))]
        except (RunnerError, OSError) as error:
            problems = [str(error)]
        for problem in filter(None, problems):
            _log.warning("not all of the run was delivered: %s", problem)


def _handed_over(directory: RunDirectory, config: Mapping[str, Any]) -> dict[str, str]:
    """Return the stores that the job leaves to others, each by how the config writes it."""
    stores = {}
    for name, tracker, _ in trackers_of(config):
        if isinstance(tracker, MLflowTracker):
            settings = (config.get("trackers") or {}).get(name) or {}
            run = TrackedRun(directory=directory, name="", tracker=name, settings=settings)
            order = tracker.order(run)
            stores[order.written] = without_credentials(order.uri)
    return {written: store for written, store in stores.items() if hands_over(store)}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

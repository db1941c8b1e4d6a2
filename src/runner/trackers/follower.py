"""`Follower`: what a sink does not have yet of a run's journal, and how it gets there, once.

    journal metrics.jsonl -> Follower, which remembers how far -> Sink: TensorBoard, a CSV file, ...

A sink is the whole of a new tracker: about a page that stores rows. Where it was fed up to, and
what it needs to go on there exactly, stands in the mark RUN_DIR/trackers/NAME.json, written after
each delivery.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from runner.files import write_json_atomically
from runner.run.journal import Row
from runner.trackers.journal_tail import begins_a_line, count_rows, has_more, read_rows
from runner.trackers.marks import damaged, read_mark
from runner.trackers.tracker import TrackedRun

MARK_VERSION = 1

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where the rows of one run go; its methods raise whatever a disk or a server does.

    `continues` tells whether it has what an earlier job gave it; if not, it is given the whole
    journal again. `write` may be called again with the rows of a call that failed.
    """

    continues: bool

    def write(self, rows: Sequence[Row]) -> None:
        """Store `rows` so that a kill does not lose them."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what a later job needs to go on behind the last row; goes to a JSON file."""
        ...

    def close(self, state: str) -> None:
        """Tell how the run ended (completed, preempted, failed, ...) and let go of it."""
        ...


# Given the run and what `state_dict` said when the mark was written; None: nothing was delivered.
OpenSink = Callable[[TrackedRun, Mapping[str, Any] | None], Sink]


class Follower:
    """Brings a run's journal to the sink that `open_sink` gives; what failed may be called again.

    `target` says where the sink is: for another one than the mark tells of, all begins anew.
    """

    def __init__(self, run: TrackedRun, open_sink: OpenSink, *, target: str = "") -> None:
        self._run = run
        self._open_sink = open_sink
        self._target = target
        self._journal = run.directory.journal
        self.mark_path = run.directory.tracker(run.tracker)
        self._offset = 0
        self._state: str | None = None  # how the run ended, once told
        self._sink: Sink | None = None

    def standing(self, state: str) -> tuple[int, int, bool]:
        """Return how many rows are there and how many not, and whether the sink has all.

        That is, of a run that ended in this `state`, the end too. It opens nothing.
        """
        mark, total = self._valid_mark(), count_rows(self._journal)
        lacking = total if mark is None else count_rows(self._journal, offset=mark["offset"])
        is_told = mark is not None and (state == "running" or mark.get("state") == state)
        return total - lacking, lacking, is_told and lacking == 0

    def has_news(self) -> bool:
        """Tell whether there is something to deliver; one look at the file."""
        return self._sink is None or has_more(self._journal, offset=self._offset)

    def deliver_rows(self) -> None:
        """Deliver every whole row of the journal that is not there yet."""
        sink = self._opened()
        while True:
            rows, offset = read_rows(self._journal, offset=self._offset)
            if not rows:
                return
            _sync(self._journal)  # else the sink has what a power loss takes from the journal
            sink.write(rows)
            self._offset, self._state = offset, None
            self._save_mark(sink)

    def deliver_all(self, state: str) -> None:
        """Deliver the rest, and how the run ended."""
        self.deliver_rows()
        sink = self._opened()
        sink.close(state)
        self._state = state
        self._save_mark(sink)

    def _opened(self) -> Sink:
        if self._sink is None:
            offset, state = self._read_mark()
            sink = self._open_sink(self._run, state)
            self._offset = offset if sink.continues else 0
            self._sink = sink
        return self._sink

    def _read_mark(self) -> tuple[int, Mapping[str, Any] | None]:
        mark = self._valid_mark()
        return (0, None) if mark is None else (mark["offset"], mark["sink"])

    def _valid_mark(self) -> dict[str, Any] | None:
        mark = read_mark(self.mark_path)
        if mark is None:
            return None
        if mark.get("version") != MARK_VERSION or mark.get("target") != self._target:
            return None
        if not isinstance(mark.get("offset"), int) or not isinstance(mark.get("sink"), dict):
            raise damaged(self.mark_path, "it lacks what its sink goes on with")
        if not begins_a_line(self._journal, offset=mark["offset"]):
            _log.warning("trackers.%s: the journal has lost its end: all again", self._run.tracker)
            return None
        return mark

    def _save_mark(self, sink: Sink) -> None:
        mark = {
            "version": MARK_VERSION,
            "target": self._target,
            "offset": self._offset,
            "state": self._state,
            "sink": sink.state_dict(),
        }
        write_json_atomically(self.mark_path, mark)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Mirror one run's journal to MLflow: `python -m runner.trackers.mlflow.delivery`, a process.

It sleeps beside the training process, imports mlflow, at low priority, once there is something to
deliver, and ends when told to or when its standard input closes.

    order = first line of standard input
    until the ending arrives:
        deliver new rows; after a failure wait longer
    deliver the rest, the files and the final state, within the time that the ending allows

Nothing here can hurt training: it only reads the run directory, but for its own mark in it.
"""

import fcntl
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runner.run.directory import RunDirectory
from runner.trackers.journal_tail import begins_a_line, has_more, read_rows
from runner.trackers.mlflow.mark import Mark, MarkFile
from runner.trackers.mlflow.messages import Ending, Inbox, Order, read_order
from runner.trackers.mlflow.process import hide_credentials, prepare_process, step_back
from runner.trackers.mlflow.store import MLflowStore
from runner.trackers.mlflow.uri import without_credentials

FIRST_DELIVERY_SECONDS = 10.0  # importing mlflow takes 1.5 s of CPU: not while training warms up
POLL_SECONDS = 2.0
MAX_PAUSE_SECONDS = 30.0
RETRY_AT_END_SECONDS = 0.5
SECONDS_IF_PARENT_DIED = 60.0

_STATES = {"completed": "FINISHED", "failed": "FAILED"}  # everything else was KILLED

logger = logging.getLogger(__name__)


class Delivery:
    """Delivers what one server does not have yet; whatever failed may be called again."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._directory = RunDirectory(Path(order.directory))
        self._address = without_credentials(order.uri)
        self._uri = hide_credentials(order.uri)
        self._mark_file = MarkFile(self._directory.tracker("mlflow"))
        self._mark: Mark = self._mark_file.load(self._address)
        self._mark.written = order.written
        self._store: MLflowStore | None = None
        self._known: dict[str, set[int]] = {}  # what MLflow has of the rows from the mark on
        self._last_problem = ""

    def has_news(self) -> bool:
        """Tell whether the journal has grown; costs one look at the file."""
        return has_more(self._directory.journal, offset=self._mark.offset)

    def deliver_rows(self) -> None:
        """Deliver every whole row of the journal that is not there yet."""
        store, run_id = self._open()
        self._check_mark()
        if self._mark.offset == 0:  # the run may have rows though the mark counts none
            self._known = store.known_steps(run_id)
        while True:
            rows, offset = read_rows(self._directory.journal, offset=self._mark.offset)
            if not rows:
                break
            _sync(self._directory.journal)  # else MLflow may have what a power loss takes from it
            store.log_rows(run_id, rows, known=self._known)
            self._mark.rows += len(rows)
            self._mark.offset = offset
            if not self._known:
                self._save_mark()
        if self._known:  # a kill on the way must not forget that some rows are there
            self._known = {}
            self._save_mark()

    def deliver_all(self, ending: Ending) -> None:
        """Deliver rows, pictures and model files, then tell how the run ended."""
        self.deliver_rows()
        store, run_id = self._open()
        for path in sorted(self._directory.plots.glob("*.png")):
            self._deliver_file(path, folder="plots")
        for path, folder in _model_files(ending.model_files):
            self._deliver_file(path, folder=folder)
        store.set_state(run_id, _STATES.get(ending.state, "KILLED"))
        self._mark.state = _STATES.get(ending.state, "KILLED")
        self._save_mark()

    def attempt(self, action: Callable[[], None]) -> bool:
        """Return whether `action` succeeded; log what went wrong, in full when it is new."""
        try:
            action()
        except Exception as error:  # whatever a server, a driver or a disk does: try again later
            is_new = repr(error) != self._last_problem
            self._last_problem = repr(error)
            logger.warning("not delivered: %r", error, exc_info=is_new)
            return False
        return True

    def _open(self) -> tuple[MLflowStore, str]:
        """Connect, find or create the run and tell its parameters, once."""
        if self._store is not None and self._mark.run_id is not None:
            return self._store, self._mark.run_id
        order, mark = self._order, self._mark
        store = MLflowStore(self._uri)
        mark.experiment_id = store.open_experiment(
            order.experiment, artifact_location=order.artifact_location
        )
        self._save_mark()
        run_id = store.open_run(mark, name=order.name, started_ms=order.started_ms, tags=order.tags)
        if mark.run_id not in (None, run_id):
            logger.warning("run %s is gone from MLflow; delivering all to a new one", mark.run_id)
            self._mark = mark = Mark(
                key=mark.key, experiment_id=mark.experiment_id, written=mark.written
            )
        mark.run_id, mark.state = run_id, "RUNNING"
        self._save_mark()
        store.log_parameters(run_id, order.parameters)
        self._store = store
        if self._directory.config.exists():
            self._deliver_file(self._directory.config, folder="")
        logger.info("delivering to run %s of %s", run_id, self._address)
        return store, run_id

    def _check_mark(self) -> None:
        """Go back to the journal's start if the mark belongs to one that was longer."""
        mark, journal = self._mark, self._directory.journal
        if not begins_a_line(journal, offset=mark.offset):
            logger.warning(
                "byte %d, up to which rows were delivered, is no line of the journal, which has "
                "lost its end: delivering those that MLflow does not have",
                mark.offset,
            )
            mark.offset = mark.rows = 0
            self._save_mark()

    def _deliver_file(self, path: Path, *, folder: str) -> None:
        name = f"{folder}/{path.name}".lstrip("/")
        stamp = f"{path.stat().st_size} {path.stat().st_mtime_ns}"
        if self._mark.artifacts.get(name) == stamp:
            return
        assert self._store is not None
        assert self._mark.run_id is not None
        self._store.log_file(self._mark.run_id, path, folder=folder)
        self._mark.artifacts[name] = stamp
        self._save_mark()

    def _save_mark(self) -> None:
        self._mark_file.save(self._address, self._mark)


def follow(delivery: Delivery, inbox: Inbox, *, parent: int) -> Ending:
    """Deliver while training goes on; return the ending once there is one."""
    earliest = time.monotonic() + FIRST_DELIVERY_SECONDS
    pause = POLL_SECONDS
    is_behind = False
    while (ending := inbox.wait(pause)) is None:
        if os.getppid() != parent:
            inbox.parent_died()
        elif time.monotonic() >= earliest and delivery.has_news():
            if not is_behind:
                step_back()
                is_behind = True
            succeeded = delivery.attempt(delivery.deliver_rows)
            pause = POLL_SECONDS if succeeded else min(2 * pause, MAX_PAUSE_SECONDS)
    return ending


def end(delivery: Delivery, ending: Ending) -> bool:
    """Deliver the rest, trying again until the time is over; return whether all arrived."""
    deadline = time.monotonic() + ending.seconds
    watchdog = threading.Timer(ending.seconds, os._exit, args=(1,))
    watchdog.daemon = True  # a call that hangs must not keep this process alive
    watchdog.start()
    try:
        while not delivery.attempt(lambda: delivery.deliver_all(ending)):
            if time.monotonic() + RETRY_AT_END_SECONDS >= deadline:
                return False
            time.sleep(RETRY_AT_END_SECONDS)
    finally:
        watchdog.cancel()
    return True


def main() -> int:
    """Follow the order on standard input; return 0 if everything arrived."""
    parent = os.getppid()
    prepare_process()
    order = read_order(sys.stdin)
    inbox = Inbox(sys.stdin, seconds_if_died=SECONDS_IF_PARENT_DIED)
    directory = RunDirectory(Path(order.directory))
    mark_path = directory.tracker("mlflow")
    mark_path.parent.mkdir(parents=True, exist_ok=True)
    with mark_path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the delivery of a job killed before may be at its end
        delivery = Delivery(order)
        ending = follow(delivery, inbox, parent=parent)
        return 0 if end(delivery, ending) else 1


def _sync(path: Path) -> None:
    """Make what was read of `path` survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _model_files(paths: list[str]) -> Iterator[tuple[Path, str]]:
    """Give each file with its folder among the artifacts."""
    for path in map(Path, paths):
        if path.is_dir():
            for file in sorted(inner for inner in path.rglob("*") if inner.is_file()):
                yield file, str(Path("model") / file.parent.relative_to(path))
        else:
            yield path, "model"


if __name__ == "__main__":
    exit_code = main()
    sys.stderr.flush()
    os._exit(exit_code)  # no thread of a library keeps this process alive

"""`Delivery`: what one server does not have yet of one run, and how it gets there.

Nothing here can hurt training: it only reads the run directory, but for its own mark in it.
"""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.journal import Row
from runner.run.status import read_raw_status, read_status
from runner.trackers.delivery.messages import Ending
from runner.trackers.journal_tail import begins_a_line, has_more, read_rows
from runner.trackers.mlflow.artifacts import Artifacts
from runner.trackers.mlflow.best import log_best
from runner.trackers.mlflow.datasets import log_datasets
from runner.trackers.mlflow.evaluations import deliver_evaluations
from runner.trackers.mlflow.handover import stamp_of
from runner.trackers.mlflow.home import claim, is_at_home, is_taken, original_of, settle
from runner.trackers.mlflow.mark import Mark, MarkFile
from runner.trackers.mlflow.order import Order
from runner.trackers.mlflow.states import mlflow_state
from runner.trackers.mlflow.store import MLflowStore, StoredRun
from runner.trackers.mlflow.tags import ERROR_TAG, ending_tags
from runner.trackers.mlflow.uri import without_credentials

PARENT_TAG = "mlflow.parentRunId"
SWEEP_TAG = "runner.sweep"
STILL_RUNNING = "running"
KEPT, EACH = "kept", "all"  # of the checkpoints
_OVER = ("completed", "failed", "pruned", "cancelled")  # not of a run that is to go on

logger = logging.getLogger(__name__)


class Delivery:
    """Delivers one run, or a sweep, which has no journal; whatever failed may be called again.

    `connect` gives the store that `order.uri` names; several deliveries may share one.
    """

    def __init__(self, order: Order, connect: Callable[[], MLflowStore]) -> None:
        self._order = order
        self._connect = connect
        self._directory = RunDirectory(Path(order.directory))
        self._address = without_credentials(order.uri)
        self._mark_file = MarkFile(self._directory.tracker("mlflow"))
        self._mark: Mark = self._mark_file.load(self._address)
        self._mark.written = order.written
        if (original := original_of(self._mark, self._directory, self._address)) is not None:
            self._part(f"this is a copy of {original}, which is there too")
        self._store: MLflowStore | None = None
        self._parameters: dict[str, str] = {}  # that MLflow does not have yet
        self._tags: dict[str, str] = {}  # likewise
        self._is_empty = False  # MLflow has no rows of this run
        self._known: dict[str, set[int]] = {}  # what MLflow has of the rows from the mark on

    def has_news(self) -> bool:
        """Tell whether the journal has grown; costs one look at the file."""
        return has_more(self._directory.journal, offset=self._mark.offset)

    def open(self) -> str:
        """Find or create the run, set it running, and return its id."""
        store, run_id = self._open()
        self._log(store, run_id, [])
        return run_id

    def deliver_rows(self) -> None:
        """Deliver every whole row of the journal that is not there yet."""
        store, run_id = self._open()
        self._check_mark()
        self._nest()
        self._look_ahead(store, run_id)
        while True:
            rows, offset = read_rows(self._directory.journal, offset=self._mark.offset)
            if rows:
                _sync(self._directory.journal)  # else MLflow has what a power loss takes from it
            self._log(store, run_id, rows)
            if not rows:
                break
            self._mark.rows += len(rows)
            self._mark.offset = offset
            self._forget_known(rows[-1].step)
            self._save_mark()
        if self._order.checkpoints == EACH:
            self._artifacts(store).store_checkpoints()

    def deliver_all(self, ending: Ending) -> None:
        """Deliver rows and pictures, tell how the run ended, then deliver what may be big.

        How it ended is told first: that must not wait for weights which take long, or fail.
        """
        if ending.is_late:
            ending = self._as_it_stands(ending)
        self.deliver_rows()
        if ending.state == STILL_RUNNING:
            return
        store, run_id = self._open()
        artifacts = self._artifacts(store)
        artifacts.store_all(sorted(map(str, self._directory.plots.glob("*.png"))), folder="plots")
        artifacts.store_all(ending.files)
        if self._mark.creations > 1:
            store.delete_doubles(self._mark)
        store.log_summary(run_id, ending.summary, at_ms=ending.ended_ms)
        if ending.state in _OVER:
            log_best(store, run_id, self._directory, self._order.parameters)
        state = mlflow_state(ending.state)
        self._log(store, run_id, [], tags=self._tags_of(ending.state))
        store.set_state(run_id, state, at_ms=ending.ended_ms)
        artifacts.store_model(ending.model_files, register_as=self._order.register_as)
        if self._order.checkpoints == EACH or (
            self._order.checkpoints == KEPT and ending.state in _OVER
        ):
            artifacts.store_checkpoints()
        self._mark.state, self._mark.told = state, ending.state
        self._save_mark()
        deliver_evaluations(self._directory, self._mark, store, artifacts.store)

    def _open(self) -> tuple[MLflowStore, str]:
        """Connect and find or create the run, once; its parameters go with the first rows."""
        if self._store is not None and self._mark.run_id is not None:
            return self._store, self._mark.run_id
        order = self._order
        store = self._connect()
        is_new = self._mark.experiment_id is None  # never saved, so nothing can be there
        self._mark.experiment_id = store.open_experiment(
            order.experiment, artifact_location=order.artifact_location
        )
        self._save_mark()
        found = None if is_new else store.find_run(self._mark)
        if found is not None and is_taken(self._mark, found.holder):
            self._part("another copy of this run goes on there", self._mark.experiment_id)
            found = None
        run_id = self._create(store) if found is None else self._continue(store, found)
        self._mark.run_id, self._mark.state, self._mark.told = run_id, "RUNNING", STILL_RUNNING
        self._mark.parent = order.tags.get(PARENT_TAG, self._mark.parent)
        settle(self._mark, self._directory)
        self._save_mark()
        self._is_empty = found is None
        if self._directory.config.exists():
            self._artifacts(store).store(self._directory.config, folder="")
        log_datasets(store, run_id, order.datasets)
        self._store = store
        logger.info("delivering %s to run %s of %s", order.directory, run_id, self._address)
        return store, run_id

    def _create(self, store: MLflowStore) -> str:
        order, mark = self._order, self._mark
        if mark.run_id is not None:
            logger.warning("run %s is gone from MLflow; delivering all to a new one", mark.run_id)
            self._mark = mark = Mark(
                key=mark.key, experiment_id=mark.experiment_id, written=mark.written
            )
        self._parameters, self._tags = dict(order.parameters), {}
        mark.creations += 1
        settle(mark, self._directory)
        self._save_mark()
        tags = order.tags | ending_tags(STILL_RUNNING, None)
        return store.create_run(mark, name=order.name, started_ms=order.started_ms, tags=tags)

    def _continue(self, store: MLflowStore, found: StoredRun) -> str:
        """Set it running again; a changed parameter, which MLflow refuses, becomes a tag."""
        self._parameters, changed = found.news(self._order.parameters)
        self._tags = self._order.tags | {f"changed.{key}": text for key, text in changed.items()}
        self._tags |= self._tags_of(STILL_RUNNING)
        if not is_at_home(self._mark, self._directory):
            word = claim(self._mark)
            self._save_mark()
            store.hold(found.id, word)
        store.set_running(found.id)
        return found.id

    def _part(self, reason: str, experiment_id: str | None = None) -> None:
        """Leave the MLflow run of the mark to another directory, and begin one with all rows."""
        logger.warning(
            "run %s of %s is left alone: %s; delivering all to a new one",
            self._mark.run_id,
            self._address,
            reason,
        )
        self._mark = Mark(written=self._order.written, experiment_id=experiment_id)

    def _log(
        self,
        store: MLflowStore,
        run_id: str,
        rows: list[Row],
        *,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        tags = self._tags | dict(tags or {})
        store.log(run_id, rows, known=self._known, parameters=self._parameters, tags=tags)
        self._parameters, self._tags = {}, {}
        self._is_empty = self._is_empty and not rows

    def _nest(self) -> None:
        """Show the run below its sweep, once the sweep has an MLflow run there."""
        if self._order.sweep is None or self._mark.parent is not None:
            return
        sweep = RunDirectory(Path(self._order.sweep))
        parent = MarkFile(sweep.tracker("mlflow")).load(self._address).run_id
        if parent is not None:
            self._tags |= {PARENT_TAG: parent, SWEEP_TAG: sweep.path.name}
            self._mark.parent = parent

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

    def _as_it_stands(self, ending: Ending) -> Ending:
        """Return the ending by the status of now: a job may have held the lock, and ended since."""
        status = read_status(self._directory)
        state = ending.state if status is None else status.state
        if state == ending.state:
            return ending
        ended_ms = int(stamp_of(self._directory.status) / 1e6)
        return replace(ending, state=state, ended_ms=ended_ms, model_files=[])

    def _look_ahead(self, store: MLflowStore, run_id: str) -> None:
        """Ask what MLflow has of the steps behind the mark.

        There are some if a delivery was killed before it had marked them, or the journal has lost
        its end: also those that run again in this job and the next ones.
        """
        may_be_ahead = self._mark.offset == 0 and not self._is_empty
        if not self._known and (may_be_ahead or self._mark.is_ahead):
            self._known = store.known_steps(run_id)
            self._mark.is_ahead = bool(self._known)
            self._save_mark()

    def _forget_known(self, step: int) -> None:
        """Go on without asking, once the journal is behind all that MLflow had."""
        if step > max((max(steps) for steps in self._known.values() if steps), default=-1):
            self._known, self._mark.is_ahead = {}, False

    def _tags_of(self, state: str) -> dict[str, str]:
        """Return how the run stands; an error that is of the past is taken back."""
        error = _error_of(self._directory) if state == "failed" else None
        stale = {ERROR_TAG: ""} if self._mark.told == "failed" else {}
        return stale | ending_tags(state, error)

    def _artifacts(self, store: MLflowStore) -> Artifacts:
        return Artifacts(store, self._mark, self._directory, self._save_mark)

    def _save_mark(self) -> None:
        self._mark_file.save(self._address, self._mark)


def _sync(path: Path) -> None:
    """Make what was read of `path` survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _error_of(directory: RunDirectory) -> str | None:
    try:
        status = read_raw_status(directory.status)
    except RunError:
        return None
    return None if status is None else status.error

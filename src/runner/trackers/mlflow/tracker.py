"""`MLflowTracker`: mirrors a run to MLflow from a process of its own.

Importing mlflow takes 1.5 s and slows the steps beside it, and its client may block for minutes:
so the training process only starts a delivery process, and at the end waits for it, not for long.
"""

import contextlib
import logging
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from runner.trackers.journal_tail import count_rows
from runner.trackers.mlflow.mark import MarkFile
from runner.trackers.mlflow.messages import Ending, Order, write_message
from runner.trackers.mlflow.process import start_process
from runner.trackers.mlflow.uri import checked_tracking_uri, sqlite_file, without_credentials
from runner.trackers.parameters import flatten
from runner.trackers.tracker import TrackedRun

INTERRUPTED_SECONDS = 10.0  # a cluster gives little time between the signal and the end
_INTERRUPTED_STATES = ("preempted", "cancelled")

logger = logging.getLogger(__name__)


class MLflowTracker:
    """Shows a run in MLflow: parameters, metrics, config, pictures, the final model, its state.

    `experiment` is MLflow's word for a group of runs (None: the name of the run).
    `artifact_location` is where a new MLflow experiment keeps its files (None: beside a SQLite
    store, or what a server decides). A resumed run goes on where its first job was delivered to,
    wherever the user stands now, unless the config writes another `tracking_uri`.
    """

    def __init__(
        self,
        *,
        tracking_uri: str = "sqlite:///outputs/mlflow.db",
        experiment: str | None = None,
        artifact_location: str | None = None,
        finish_timeout_seconds: float = 60.0,
    ) -> None:
        self._uri = checked_tracking_uri(tracking_uri)
        self._experiment = experiment
        self._written = without_credentials(tracking_uri)
        self._artifact_location = artifact_location
        self._finish_timeout_seconds = finish_timeout_seconds
        self._order: Order | None = None
        self._run: TrackedRun | None = None
        self._process: subprocess.Popen[str] | None = None

    def start(self, run: TrackedRun) -> None:
        """Start the delivery process; takes milliseconds and never fails for MLflow's sake."""
        self._run = run
        written = str(run.settings.get("tracking_uri", self._written))
        self._uri = _same_server(run, written, self._uri)
        self._order = Order(
            directory=str(run.directory.path.absolute()),
            name=run.directory.path.name,
            uri=self._uri,
            written=written,
            experiment=self._experiment or run.name,
            artifact_location=self._artifact_location or _beside_database(self._uri),
            started_ms=int(time.time() * 1000),
            parameters=flatten(run.parameters),
            tags=dict(run.tags),
        )
        self._launch()

    def finish(self, state: str, model_files: Sequence[Path] = ()) -> None:
        """Wait until all is delivered, at most `finish_timeout_seconds`, or 10 s if interrupted."""
        if self._run is None:
            return
        seconds = self._finish_timeout_seconds
        if state in _INTERRUPTED_STATES:
            seconds = min(seconds, INTERRUPTED_SECONDS)
        ending = Ending(
            state=state, seconds=seconds, model_files=[str(path.absolute()) for path in model_files]
        )
        if not self._deliver_rest(ending):
            self._warn(seconds)
        self._process = None

    def _launch(self) -> None:
        assert self._run is not None
        assert self._order is not None
        try:
            self._run.directory.logs.mkdir(parents=True, exist_ok=True)
            log_path = self._run.directory.logs / "mlflow.log"
            with log_path.open("a", encoding="utf-8") as log:
                self._process = start_process(log)
            assert self._process.stdin is not None
            write_message(self._process.stdin, self._order)
        except OSError as error:
            logger.warning("the delivery to MLflow did not start: %s", error)

    def _deliver_rest(self, ending: Ending) -> bool:
        """Return whether the delivery process, started again if it died, says that all arrived."""
        if self._process is None or self._process.poll() is not None:
            self._close()
            self._launch()
        if self._process is None or self._process.stdin is None:
            return False
        try:
            write_message(self._process.stdin, ending)
            return self._process.wait(timeout=ending.seconds) == 0
        except (OSError, subprocess.TimeoutExpired):
            return False
        finally:
            self._close()

    def _close(self) -> None:
        """Leave no process behind, whatever happened."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # what was left in the pipe has no reader any more
                self._process.stdin.close()
        self._process = None

    def _warn(self, seconds: float) -> None:
        assert self._run is not None
        directory = self._run.directory
        mark = MarkFile(directory.tracker("mlflow")).load(without_credentials(self._uri))
        logger.warning(
            "MLflow at %s did not take all of this run within %g s: %d rows of the journal, files "
            "or the final state are missing there; nothing is lost, all stays in %s (reasons: %s)",
            without_credentials(self._uri),
            seconds,
            count_rows(directory.journal, offset=mark.offset),
            directory.path,
            directory.logs / "mlflow.log",
        )


def _same_server(run: TrackedRun, written: str, uri: str) -> str:
    """Return the address to which the first job of `run` was delivered, or `uri` for a new run."""
    try:
        first = MarkFile(run.directory.tracker("mlflow")).address_of(written)
    except (OSError, ValueError):  # told by the delivery, in its log
        return uri
    if first is None or first == without_credentials(uri):
        return uri
    database = sqlite_file(first)
    if database is not None and not database.exists():  # the run was carried to another machine
        return uri
    logger.info(
        "MLflow: this run goes on at %s, where it began, and not at %s; to change that, give "
        "trackers.mlflow.tracking_uri",
        first,
        without_credentials(uri),
    )
    return first


def _beside_database(uri: str) -> str | None:
    database = sqlite_file(uri)
    return None if database is None else (database.parent / "mlflow_artifacts").as_uri()

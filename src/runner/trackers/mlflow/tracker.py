"""`MLflowTracker`: mirrors a run to MLflow from a process of its own.

Importing mlflow takes 1.5 s and slows the steps beside it, and its client may block for minutes:
so the training process only starts a delivery process, and at the end waits for it, not for long.
A job of a sweep that delivers for it does neither: it leaves a handover in its directory.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

from runner.config.secrets import redacted
from runner.errors import ConfigError, RunError
from runner.run.directory import RunDirectory
from runner.run.provenance import read_provenance
from runner.trackers.delivery.child import DeliveryChild, seconds_at_end
from runner.trackers.delivery.messages import Ending
from runner.trackers.journal_tail import count_rows
from runner.trackers.mlflow.datasets import datasets_of
from runner.trackers.mlflow.handover import Handover, write_handover
from runner.trackers.mlflow.home import original_of
from runner.trackers.mlflow.late import place_of, sync_run
from runner.trackers.mlflow.mark import Mark, MarkFile
from runner.trackers.mlflow.order import Order
from runner.trackers.mlflow.process import launch_process
from runner.trackers.mlflow.tags import with_mlflow_names
from runner.trackers.mlflow.uri import (
    checked_artifact_location,
    checked_tracking_uri,
    sqlite_file,
    without_credentials,
)
from runner.trackers.parameters import flatten
from runner.trackers.tracker import Synced, TrackedRun

logger = logging.getLogger(__name__)


class MLflowTracker:
    """Shows a run in MLflow: parameters, metrics, config, pictures, the final model, its state.

    `experiment` is MLflow's word for a group of runs (None: the name of the run). `run_name` is
    what the run is called there (None: as its directory, one of a sweep by its overrides); `tags`
    are put on it, beside our own. `artifact_location` is where a new MLflow experiment keeps its
    files (None: beside a SQLite store, or what a server decides). `log_checkpoints` also stores
    checkpoints: True those that are kept, when the run is over; "all" each as soon as it is
    committed. `register_as` makes the model of every completed run a version of the registered
    model of that name. A resumed run goes on where its first job was delivered to, wherever the
    user stands now, unless the config writes another `tracking_uri`.
    """

    def __init__(
        self,
        *,
        tracking_uri: str = "sqlite:///outputs/mlflow.db",
        experiment: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        artifact_location: str | None = None,
        log_checkpoints: bool | str = False,
        register_as: str | None = None,
        finish_timeout_seconds: float = 60.0,
    ) -> None:
        self._uri = checked_tracking_uri(tracking_uri)
        self._experiment = experiment
        self._run_name = run_name
        self._tags = flatten(tags or {})
        self._written = without_credentials(tracking_uri)
        self._artifact_location = checked_artifact_location(artifact_location)
        self._log_checkpoints = log_checkpoints
        self._checkpoints = _which_checkpoints(log_checkpoints)
        self._register_as = _checked_name(register_as)
        self._finish_timeout_seconds = finish_timeout_seconds
        self._order: Order | None = None
        self._run: TrackedRun | None = None
        self._child: DeliveryChild | None = None

    @property
    def finish_timeout_seconds(self) -> float:
        """How long an end may wait for a slow server."""
        return self._finish_timeout_seconds

    def at(self, uri: str) -> "MLflowTracker":
        """Return one that shows runs likewise at another server."""
        return MLflowTracker(
            tracking_uri=uri,
            experiment=self._experiment,
            run_name=self._run_name,
            tags=self._tags,
            log_checkpoints=self._log_checkpoints,
            register_as=self._register_as,
            finish_timeout_seconds=self._finish_timeout_seconds,
        )

    def within(self, seconds: float) -> "MLflowTracker":
        """Return the same one, whose end waits at most so long."""
        hurried = copy(self)
        hurried._finish_timeout_seconds = min(seconds, self._finish_timeout_seconds)
        return hurried

    def place(self, run: TrackedRun) -> str:
        """Return where it shows `run`: see LateTracker."""
        return place_of(self.order(run))

    def sync(self, run: TrackedRun, state: str, model_files: Sequence[Path] = ()) -> Synced:
        """Deliver what a job left undone: see LateTracker."""
        files = [str(path.absolute()) for path in model_files]
        return sync_run(self.order(run), state, files, seconds=self._finish_timeout_seconds)

    def order(self, run: TrackedRun) -> Order:
        """Return what a delivery process needs to know of `run`."""
        written = str(run.settings.get("tracking_uri", self._written))
        uri = _same_server(run, written, run.delivered_to.get(written, self._uri))
        return Order(
            directory=str(run.directory.path.absolute()),
            name=redacted(self._run_name or _label(run) or run.directory.path.name),
            uri=uri,
            written=written,
            experiment=redacted(self._experiment or run.name),
            artifact_location=self._artifact_location or _beside_database(uri),
            started_ms=_started_ms(run.directory),
            parameters=flatten(run.parameters),
            tags={**self._tags, **with_mlflow_names(run.tags)},
            sweep=None if run.sweep is None else str(run.sweep.path.absolute()),
            datasets=datasets_of(run),
            checkpoints=self._checkpoints,
            register_as=self._register_as,
        )

    def start(self, run: TrackedRun) -> None:
        """Start the delivery process; takes milliseconds and never fails for MLflow's sake."""
        order = self.order(run)
        try:
            _tell_of_copy(order)
        except (OSError, ValueError) as error:
            logger.warning("MLflow will not get this run: %s", error)
            return
        self._run, self._order = run, order
        if _is_delivered_by_sweep(self._order, run):
            _hand_over(run, Handover(order=self._order))
        else:
            self._child = DeliveryChild(partial(launch_process, "run_process", self._order), _tell)
            self._child.start()

    def finish(self, state: str, model_files: Sequence[Path] = ()) -> None:
        """Wait until all is delivered, at most `finish_timeout_seconds`, or 10 s if interrupted."""
        if self._run is None or self._order is None:
            return
        files = [str(path.absolute()) for path in model_files]
        if state == "completed" and self._register_as is not None and not files:
            logger.warning(
                "trackers.mlflow.register_as=%s: this run kept no weights, so that there is no "
                "model to register",
                self._register_as,
            )
        if self._child is None:
            _hand_over(self._run, Handover(order=self._order, state=state, model_files=files))
            return
        seconds = seconds_at_end(self._finish_timeout_seconds, state)
        if not self._child.finish(Ending(state=state, seconds=seconds, model_files=files)):
            self._warn(self._order, seconds)
        elif state == "completed" and self._register_as is not None:
            mark = _mark_of(self._order)
            if mark.registered is not None:
                logger.info("the model is version %s of %s", mark.version, mark.registered)

    def _warn(self, order: Order, seconds: float) -> None:
        directory = RunDirectory(Path(order.directory))
        address, mark = without_credentials(order.uri), _mark_of(order)
        logger.warning(
            "MLflow at %s did not take all of this run within %g s: %d rows of the journal, files "
            "or the final state are missing there; nothing is lost, all stays in %s (reasons: %s)",
            address,
            seconds,
            count_rows(directory.journal, offset=mark.offset),
            directory.path,
            directory.logs / "mlflow.log",
        )


def _which_checkpoints(wanted: bool | str) -> str:
    words = {False: "none", True: "kept", "all": "all"}
    if not isinstance(wanted, bool | str) or wanted not in words:
        raise ConfigError(
            f"trackers.mlflow.log_checkpoints must be false, true or all, got {wanted!r}"
        )
    return words[wanted]


def _checked_name(name: str | None) -> str | None:
    """Return `name` if MLflow's registry takes it: it would say no when the training is over."""
    if name is not None and not (
        isinstance(name, str) and name.strip() and not set(name) & set("/:")
    ):
        raise ConfigError(
            f"trackers.mlflow.register_as must be a name without '/' and ':', or null; got {name!r}"
        )
    return name


def _started_ms(directory: RunDirectory) -> int:
    """Return when the first job of the run began."""
    try:
        return int(read_provenance(directory.provenance)["jobs"][0]["time"] * 1000)
    except (RunError, LookupError, TypeError):  # a sweep, or a run that is no run of ours
        return int(time.time() * 1000)


def _label(run: TrackedRun) -> str:
    """Return what tells a run from the others of its sweep: "optimizer.lr=0.001 seed=2"."""
    if run.sweep is None:
        return ""
    try:
        return " ".join(read_provenance(run.directory.provenance)["jobs"][0]["overrides"])
    except (RunError, LookupError, TypeError):  # not written yet
        return ""


def _is_delivered_by_sweep(order: Order, run: TrackedRun) -> bool:
    """Tell so, unless the run began at another server, where it goes on."""
    return run.delivered_to.get(order.written) == without_credentials(order.uri)


def _mark_of(order: Order) -> Mark:
    marks = MarkFile(RunDirectory(Path(order.directory)).tracker("mlflow"))
    return marks.load(without_credentials(order.uri))


def _tell_of_copy(order: Order) -> None:
    """Say so if the run is a copy; raises what is wrong with its mark."""
    directory, address = RunDirectory(Path(order.directory)), without_credentials(order.uri)
    original = original_of(_mark_of(order), directory, address)
    if original is not None:
        logger.info(
            "MLflow: this run is a copy of %s, which is there too: it gets an MLflow run of its "
            "own, with all its values",
            original,
        )


def _tell(error: Exception) -> None:
    logger.warning("the delivery to MLflow did not start: %s", error)


def _hand_over(run: TrackedRun, handover: Handover) -> None:
    try:
        write_handover(run.directory, handover)
    except OSError as error:
        logger.warning("MLflow will not get all of this run: %s", error)


def _same_server(run: TrackedRun, written: str, uri: str) -> str:
    """Return the address to which the first job of `run` was delivered, or `uri` for a new run."""
    try:
        first = MarkFile(run.directory.tracker("mlflow")).address_of(written)
    except (OSError, ValueError):  # told where the delivery begins
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

"""The mirror of a sweep in MLflow: one delivery for all its runs, nested below the sweep's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.config.frozen import from_frozen
from runner.config.instantiate import instantiate
from runner.config.interpolations import resolve
from runner.config.targets import TARGET
from runner.errors import RunnerError
from runner.run.directory import RunDirectory
from runner.run.status import STATES, Status, read_status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import PlannedRun
from runner.sweeps.outcomes import Outcome
from runner.sweeps.record import SweepRecord
from runner.sweeps.summary import SweepSummary
from runner.sweeps.watcher import Watcher
from runner.trackers.mlflow.sweep import SweepDelivery
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.trackers.tags import start_tags
from runner.trackers.tracker import TrackedRun

_MLFLOW = f"{MLflowTracker.__module__}.{MLflowTracker.__qualname__}"
_OVER = ("completed", "failed", "pruned", "cancelled")


class Mirror(Watcher):
    """Delivers what the jobs of a sweep log, in place of a process for each of them.

    Of the trackers in the base config those that can deliver a whole sweep do; the jobs run others
    themselves.
    """

    def __init__(self, directory: SweepDirectory, record: SweepRecord) -> None:
        self._directory = directory
        self._deliveries = [
            SweepDelivery(tracker, tracked_sweep(directory, record, name))
            for name, tracker in mlflow_trackers(record).items()
        ]

    @property
    def delivered_to(self) -> dict[str, str]:
        """Return what every job is given, so that it hands over."""
        return {
            written: address
            for delivery in self._deliveries
            for written, address in delivery.delivered_to.items()
        }

    def catch_up(self, runs: Mapping[str, PlannedRun]) -> None:
        """Deliver what earlier starts of the sweep may have left."""
        for run in runs.values():
            status = read_status(self._directory.job(run.number))
            if status is not None and status.state in _OVER:
                self._tell_end(run, status.state)

    def began(self, run: PlannedRun, status: Status | None) -> None:  # noqa: ARG002
        for delivery in self._deliveries:
            delivery.add(self._path(run))

    def ended(self, run: PlannedRun, outcome: Outcome, status: Status) -> None:  # noqa: ARG002
        self._tell_end(run, status.state)

    def close(self, state: str, summary: SweepSummary) -> None:
        """Deliver the rest, within a bounded time; what did not arrive is told in a warning."""
        for delivery in self._deliveries:
            delivery.close(state, summary=figures_of(summary), files=[self._directory.report])

    def _tell_end(self, run: PlannedRun, state: str) -> None:
        for delivery in self._deliveries:
            delivery.ended(self._path(run), state)

    def _path(self, run: PlannedRun) -> Path:
        return self._directory.job(run.number).path


def tracked_sweep(directory: SweepDirectory, record: SweepRecord, name: str) -> TrackedRun:
    """Return what the tracker `name` is told of a sweep."""
    return TrackedRun(
        directory=RunDirectory(directory.path),
        name=record.name,
        parameters=record.base,
        settings=(record.base.get("trackers") or {}).get(name) or {},
        tags=start_tags(directory.path, record.starts[-1]) if record.starts else {},
    )


def figures_of(summary: SweepSummary) -> dict[str, float]:
    """Return what is shown as the metrics of a sweep."""
    figures = {f"runs_{state}": float(summary.counts.get(state, 0)) for state in STATES}
    if (best := summary.best) is not None and best.score is not None:
        figures |= {"best_score": best.score, "best_run": float(best.number)}
    return figures


def mlflow_trackers(record: SweepRecord) -> dict[str, MLflowTracker]:
    """Return the trackers of the base config that can deliver a whole sweep, by name."""
    found = {name: built for name, built, _ in trackers_of(record.base)}
    return {name: each for name, each in found.items() if isinstance(each, MLflowTracker)}


def trackers_of(frozen: Mapping[str, Any], *, to: str | None = None) -> list[tuple[str, Any, str]]:
    """Return the trackers of a config: name, the tracker or None, and why it cannot be built.

    With `to` those of MLflow are for that server, whatever the config says of theirs.
    """
    nodes, problems = resolve(from_frozen(_at(frozen, to)))
    trackers = nodes.get("trackers") or {}
    if not isinstance(trackers, Mapping):
        return [("trackers", None, "; ".join(problems))]
    found: list[tuple[str, Any, str]] = []
    for name, node in trackers.items():
        path = f"trackers.{name}"
        mine = [text for text in problems if text.startswith((f"{path}.", f"{path} ", f"{path}["))]
        try:
            if mine:
                found.append((name, None, "; ".join(mine)))
            elif node:
                found.append((name, instantiate(node, path), ""))
        except RunnerError as error:  # a sweep leaves it to the check of the jobs that have it
            found.append((name, None, str(error)))
    return found


def _at(frozen: Mapping[str, Any], to: str | None) -> dict[str, Any]:
    """Return the config without its model, which is not needed, and with MLflow at `to`."""
    config = {**frozen, "model": None}
    trackers = config.get("trackers")
    if to is not None and isinstance(trackers, Mapping):
        config["trackers"] = {name: _moved(node, to) for name, node in trackers.items()}
    return config


def _moved(node: Any, to: str) -> Any:
    if not isinstance(node, Mapping) or node.get(TARGET) != _MLFLOW:
        return node
    return {**node, "tracking_uri": to, "artifact_location": None}

"""`sync` for single runs: what each of their trackers is told and given."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from threading import Timer
from typing import Any

from runner.build.trained.result import final_model
from runner.cli.sweeps.mirror import trackers_of
from runner.config.written import read_config
from runner.run.directory import RunDirectory
from runner.run.provenance import read_provenance
from runner.run.status import read_status
from runner.sweeps.directory import sweep_around
from runner.trackers.mlflow.handover import stores_of
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.trackers.tags import run_tags
from runner.trackers.tracker import LateTracker, Synced, TrackedRun

NO_TRACKER = "its config has none that is fed later; --to URI delivers it to MLflow"
PATIENCE_SECONDS = 5.0  # before a wait is told


class Feeding:
    """One call of `sync`: to `to` (None: where the configs say), no server tried twice in vain."""

    def __init__(self, to: str | None) -> None:
        self.to = to
        self._given_up: dict[str, str] = {}  # place -> why

    def feed(self, place: str, sync: Callable[[], Synced]) -> Synced:
        """Return what `sync` does, unless it failed for this `place` before."""
        if place in self._given_up:
            return Synced(place=place, problem=self._given_up[place])
        with _told_if_slow(place):
            synced = sync()
        if synced.problem:
            self._given_up[place] = synced.problem
        return synced

    def mlflow(self, trackers: Mapping[str, Any]) -> dict[str, MLflowTracker]:
        """Return those of `trackers` that are MLflow's; with `to` one, moved there or new."""
        known = {name: each for name, each in trackers.items() if isinstance(each, MLflowTracker)}
        if self.to is None:
            return known
        first = next(iter(known.values()), None)
        return {
            "mlflow": MLflowTracker(tracking_uri=self.to) if first is None else first.at(self.to)
        }


@contextmanager
def _told_if_slow(place: str) -> Iterator[None]:
    """Say on stderr that `place` lets wait, once."""
    line = f"waiting for {place} ..."
    timer = Timer(PATIENCE_SECONDS, lambda: print(line, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def sync_run(directory: RunDirectory, feeding: Feeding) -> Iterator[Synced]:
    """Feed the trackers of a run, or MLflow elsewhere alone."""
    config = read_config(directory.config)
    trackers = {name: tracker for name, tracker, _ in trackers_of(config, to=feeding.to)}
    for name, tracker in feeding.mlflow(trackers).items():
        yield _feed(directory, config, name, tracker, feeding)
    if feeding.to is None:
        yield from _sync_others(directory, config, feeding)
        if not trackers:
            yield Synced(place="trackers", note=NO_TRACKER)


def sync_evaluations(directory: RunDirectory, feeding: Feeding) -> Iterator[Synced]:
    """Deliver to MLflow, where the run is shown, what was evaluated after the training.

    While a job trains, it delivers that itself when it ends.
    """
    status = read_status(directory)
    if status is not None and status.state == "running":
        return
    config = read_config(directory.config)
    trackers = {name: tracker for name, tracker, _ in trackers_of(config, to=feeding.to)}
    for name, tracker in feeding.mlflow(trackers).items():
        yield _feed(directory, config, name, tracker, feeding)


def sync_run_of_sweep(directory: RunDirectory, feeding: Feeding) -> Iterator[Synced]:
    """Feed those trackers of a run that its sweep does not feed."""
    if feeding.to is None:
        yield from _sync_others(directory, read_config(directory.config), feeding)


def tracked_run(
    directory: RunDirectory, config: Mapping[str, Any], name: str, *, is_moved: bool
) -> TrackedRun:
    """Return what the tracker `name` is told of a run whose job is gone.

    Unless it `is_moved` to another server, it goes to the file to which it was handed over.
    """
    provenance = read_provenance(directory.provenance)
    run = TrackedRun(
        directory=directory,
        name=provenance["name"],
        tracker=name,
        parameters=config,
        tags=run_tags(directory),
        sweep=sweep_around(directory),
    )
    if is_moved:
        return run
    settings = (config.get("trackers") or {}).get(name) or {}
    return replace(run, settings=settings, delivered_to=stores_of([directory]))


def _sync_others(
    directory: RunDirectory, config: Mapping[str, Any], feeding: Feeding
) -> Iterator[Synced]:
    for name, tracker, problem in trackers_of(config):
        if tracker is None:
            yield Synced(place=f"trackers.{name}", problem=problem)
        elif not isinstance(tracker, MLflowTracker):
            yield _feed(directory, config, name, tracker, feeding)


def _feed(
    directory: RunDirectory, config: Mapping[str, Any], name: str, tracker: Any, feeding: Feeding
) -> Synced:
    if not isinstance(tracker, LateTracker):
        note = f"{type(tracker).__name__} cannot be fed later: it has no method sync"
        return Synced(place=f"trackers.{name}", note=note)
    status = read_status(directory)
    state = "lost" if status is None else status.state
    run = tracked_run(directory, config, name, is_moved=feeding.to is not None)
    place = tracker.place(run)
    return feeding.feed(place, lambda: tracker.sync(run, state, final_model(directory)))

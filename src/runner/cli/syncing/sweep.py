"""`sync` for sweeps: what a watching process that is gone has not delivered."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from runner.build.trained.result import final_model
from runner.cli.sweeps.mirror import figures_of, tracked_sweep, trackers_of
from runner.cli.syncing.runs import NO_TRACKER, Feeding, tracked_run
from runner.config.written import read_config
from runner.run.directory import RunDirectory
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.summary import SweepSummary, summarize
from runner.trackers.mlflow.handover import stores_of
from runner.trackers.mlflow.late import LateRun, late_run, problem_of, sync_sweep_at
from runner.trackers.mlflow.sweep import SweepDelivery
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.trackers.tracker import Synced, TrackedRun

_GOOD = ("completed", "pruned")
_OPEN = ("queued", "preempted", "cancelled")


def sync_sweep(
    directory: SweepDirectory, feeding: Feeding
) -> tuple[list[RunDirectory], Iterator[Synced]]:
    """Return the runs of a sweep that have begun, and what is done for each of its trackers."""
    summary = summarize(directory)
    begun = [RunDirectory(row.path) for row in summary.rows]
    begun = [run for run in begun if run.provenance.is_file() and run.config.is_file()]
    return begun, _deliver(directory, summary, begun, feeding)


def state_of(summary: SweepSummary) -> str:
    """Return how a sweep stands, in the words for runs."""
    states = {row.state for row in summary.rows}
    if summary.is_running or "running" in states:
        return "running"
    if summary.num_to_come or states & set(_OPEN):
        return "preempted"
    return "completed" if states <= set(_GOOD) else "failed"


def _deliver(
    directory: SweepDirectory, summary: SweepSummary, begun: list[RunDirectory], feeding: Feeding
) -> Iterator[Synced]:
    trackers = {
        name: tracker for name, tracker, _ in trackers_of(summary.record.base, to=feeding.to)
    }
    for name, tracker in feeding.mlflow(trackers).items():
        sweep = tracked_sweep(directory, summary.record, name)
        if feeding.to is not None:
            sweep = replace(sweep, settings={})
        else:
            sweep = replace(sweep, delivered_to=stores_of(begun))
        runs = [run for each in begun if (run := _late(each, name, feeding)) is not None]
        yield _feed(tracker, sweep, runs, summary, feeding)
    if feeding.to is None and not trackers:
        yield Synced(place="trackers", note=NO_TRACKER)


def _feed(
    tracker: MLflowTracker,
    sweep: TrackedRun,
    runs: Sequence[LateRun],
    summary: SweepSummary,
    feeding: Feeding,
) -> Synced:
    order, state = tracker.order(sweep), state_of(summary)
    seconds = tracker.finish_timeout_seconds

    def deliver(lacking: Sequence[LateRun]) -> str:
        delivery = SweepDelivery(tracker, sweep)
        for run in lacking:
            delivery.ended(run.directory.path, run.state, run.handover)
        files = [summary.directory.report]
        figures = figures_of(summary)
        missing = delivery.finish(state, summary=figures, files=files, seconds=seconds)
        return problem_of(order, seconds) if missing else ""

    return feeding.feed(
        tracker.place(sweep), lambda: sync_sweep_at(order, runs, deliver, state=state)
    )


def _late(directory: RunDirectory, name: str, feeding: Feeding) -> LateRun | None:
    """Return what the sweep has to deliver of a run; None if that has not this tracker."""
    config = read_config(directory.config)
    trackers = {name: tracker for name, tracker, _ in trackers_of(config, to=feeding.to)}
    tracker = feeding.mlflow(trackers).get(name)
    if tracker is None:
        return None
    run = tracked_run(directory, config, name, is_moved=feeding.to is not None)
    return late_run(directory, tracker.order(run), final_model(directory))

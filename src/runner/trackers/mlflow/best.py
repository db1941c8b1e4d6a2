"""The best score of a run as metrics of their own: what a table of runs is sorted by.

The column of a metric shows the value of the last step, which is seldom the best one.
"""

from collections.abc import Mapping

from runner.run.directory import RunDirectory
from runner.run.status import read_status
from runner.trackers.mlflow.store import MLflowStore

SPLIT = "best"


def log_best(
    store: MLflowStore, run_id: str, directory: RunDirectory, parameters: Mapping[str, str]
) -> None:
    """Store "best/METRIC" and "best/step", at the step of the best; a run without has neither.

    `parameters` are those of the run, by dotted path. A run that got better later has the new best
    last, which is the one that is shown.
    """
    status, metric = read_status(directory), parameters.get("trainer.best_metric")
    if status is None or status.score is None or status.best_step is None or metric is None:
        return
    at_ms = directory.status.stat().st_mtime_ns // 1_000_000
    figures = {f"{SPLIT}/{metric}": status.score, f"{SPLIT}/step": float(status.best_step)}
    store.log_summary(run_id, figures, at_ms=at_ms, step=status.best_step)

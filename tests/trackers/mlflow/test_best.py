from pathlib import Path
from typing import Any

import pytest

from runner.run.directory import RunDirectory
from runner.run.status import Status, write_status
from runner.trackers.mlflow.best import log_best

PARAMETERS = {"trainer.best_metric": "evaluation.loss"}


class Noting:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.noted: list[Any] = []

    def log_summary(self, run_id: str, summary: dict, *, at_ms: int, step: int) -> None:
        self.noted.append((run_id, summary, at_ms, step))


def test_the_best_is_told_at_its_step_and_the_same_each_time(tmp_path: Path) -> None:
    directory, store = RunDirectory(tmp_path), Noting()
    write_status(directory.status, Status(state="completed", step=9, score=0.25, best_step=5))
    at_ms = directory.status.stat().st_mtime_ns // 1_000_000
    for _ in range(2):
        log_best(store, "one", directory, PARAMETERS)  # type: ignore[arg-type]
    figures = {"best/evaluation.loss": 0.25, "best/step": 5.0}
    assert store.noted == [("one", figures, at_ms, 5)] * 2


@pytest.mark.parametrize("status", [None, Status(state="failed", step=9)])
def test_without_a_score_nothing_is_told(tmp_path: Path, status: Status | None) -> None:
    directory, store = RunDirectory(tmp_path), Noting()
    if status is not None:
        write_status(directory.status, status)
    log_best(store, "one", directory, PARAMETERS)  # type: ignore[arg-type]
    assert store.noted == []

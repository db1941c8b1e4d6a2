"""Which runs of a sweep keep their checkpoints."""

from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from runner.run.status import Status
from runner.sweeps.retention import runs_to_strip, strip_runs
from tests.sweeps.sweep_directories import begin, done, failed, plan
from tests.sweeps.test_summary import row


@pytest.mark.parametrize(
    ("mode", "keep_best", "stripped"),
    [
        ("min", 1, [0, 1]),
        ("min", 2, [0]),
        ("max", 1, [1, 2]),
        ("max", 9, []),
        ("min", 0, [0, 1, 2]),
    ],
)
def test_completed_runs_outside_the_best_lose_theirs(
    mode: str, keep_best: int, stripped: list[int]
) -> None:
    rows = [row(0, 0.9), row(1, 0.5), row(2, 0.1)]
    assert runs_to_strip(rows, keep_best, mode) == stripped


@pytest.mark.parametrize("state", ["queued", "running", "preempted", "failed", "cancelled", "lost"])
def test_what_is_not_over_keeps_them_whatever_its_score(state: str) -> None:
    assert runs_to_strip([row(0, 0.1), row(1, 9.9, state)], 1, "min") == []
    assert runs_to_strip([row(0, 0.5), row(1, 0.1, state)], 1, "min") == []  # nor takes a place


def test_pruned_runs_lose_them_and_take_no_place_among_the_best() -> None:
    assert runs_to_strip([row(0, 0.5), row(1, 0.1, "pruned")], 1, "min") == [1]


def test_of_equal_runs_the_first_stays() -> None:
    assert runs_to_strip([row(2, 0.5), row(0, 0.5), row(1, 0.5)], 1, "max") == [1, 2]


@pytest.mark.parametrize("score", [None, float("nan"), float("inf")])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_without_a_score_a_run_is_worse_than_any(score: float | None, mode: str) -> None:
    assert runs_to_strip([row(0, score), row(1, 0.5)], 1, mode) == [0]


def test_nothing_goes_where_no_score_tells_what_is_best() -> None:
    assert runs_to_strip([row(0, None), row(1, None)], 1, "min") == []


def test_a_sweep_strips_each_run_once_that_has_something_to_lose(tmp_path: Path) -> None:
    sweep = plan(tmp_path, [[f"seed={seed}"] for seed in range(4)], best_mode="max")
    for number, status in enumerate((done(0.1), done(0.9), done(0.2), failed("x"))):
        begin(sweep, number, status)
        sweep.job(number).checkpoints.mkdir()
    begin(sweep, 3, Status(state="preempted", jobs=1))
    seen: list[int] = []

    def strip(run: RunDirectory) -> None:
        seen.append(int(run.path.name))
        run.checkpoints.rmdir()

    assert strip_runs(sweep, keep_best=1, strip=strip) == [0, 2] == seen
    assert strip_runs(sweep, keep_best=1, strip=strip) == []

"""One row a run, from the run's own files."""

import json
import os
import time
from pathlib import Path

import pytest

from runner.errors import RunError
from runner.run.lease import Lease
from runner.run.status import Status
from runner.runtime.signals import StopRequests
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.summary import RunRow, best_of, log_of, ranked, run_row, summarize
from tests.sweeps.sweep_directories import begin, done, failed, plan, write_journal

RUNS = [[f"optimizer.lr={lr}", f"seed={seed}"] for lr in ("0.1", "0.01") for seed in (1, 2)]


def row(number: int, score: float | None, state: str = "completed") -> RunRow:
    return RunRow(
        number=number,
        overrides={},
        label="",
        state=state,
        step=1,
        planned_steps=None,
        score=score,
        best_step=None,
        jobs=1,
        error=None,
        age_seconds=None,
        seconds_left=None,
        path=Path(str(number)),
    )


def held(path: Path) -> Lease:
    lease = Lease(path, on_beat=lambda: None, stop=StopRequests())
    lease.acquire()
    return lease


def test_each_run_of_the_ledger_is_a_row_with_what_its_own_files_say(tmp_path: Path) -> None:
    sweep = plan(tmp_path, RUNS)
    begin(sweep, 0, done(0.5))
    begin(sweep, 2, failed("RuntimeError: boom", step=7, jobs=2))
    summary = summarize(sweep)
    assert [one.number for one in summary.rows] == [0, 1, 2, 3]
    first, second, third, _ = summary.rows
    assert (first.state, first.score, first.best_step) == ("completed", 0.5, 90)
    assert first.overrides == {"optimizer.lr": "0.1", "seed": "1"}
    assert first.label == "optimizer.lr=0.1 seed=1"
    assert (second.state, second.step, second.planned_steps) == ("queued", 0, 100)
    assert second.age_seconds is None
    assert (third.error, third.step, third.jobs) == ("RuntimeError: boom", 7, 2)
    assert first.age_seconds is not None and first.age_seconds < 60
    assert summary.counts == {"completed": 1, "failed": 1, "queued": 2}
    assert summary.num_to_come == 0
    assert summary.best == first


def test_a_running_run_is_lost_when_nobody_is_behind_it(tmp_path: Path) -> None:
    sweep = plan(tmp_path, RUNS)
    for number in (0, 1):
        begin(sweep, number, Status(state="running", jobs=1))
    lease = held(sweep.job(1).lease)
    assert [one.state for one in summarize(sweep).rows[:2]] == ["lost", "running"]
    lease.release()
    assert [one.state for one in summarize(sweep).rows[:2]] == ["lost", "lost"]


def test_the_sweep_is_running_while_its_lease_is_held(tmp_path: Path) -> None:
    sweep = plan(tmp_path, RUNS)
    assert not summarize(sweep).is_running
    lease = held(sweep.lease)
    assert summarize(sweep).is_running
    lease.release()
    assert not summarize(sweep).is_running


def test_a_running_run_tells_the_time_it_has_left(tmp_path: Path) -> None:
    sweep = plan(tmp_path, RUNS)
    curve = [(10, 0.9), (20, 0.8), (30, 0.7)]  # half a second a step
    begin(sweep, 0, Status(state="running", jobs=1, step=40), curve=curve)
    lease = held(sweep.job(0).lease)
    first = summarize(sweep).rows[0]
    assert first.planned_steps == 100
    assert first.seconds_left == pytest.approx(60 * 0.5)
    lease.release()


def test_epochs_become_steps_and_the_nearer_limit_holds(tmp_path: Path) -> None:
    sweep = plan(tmp_path, RUNS)
    directory = begin(sweep, 0, Status(state="running", jobs=1, step=20), curve=[(10, 1), (20, 1)])
    lease = held(directory.lease)
    of_epochs = {"trainer": {"max_epochs": 6, "max_steps": None}}  # of 10 steps
    assert run_row(directory, config=of_epochs).planned_steps == 60
    both = {"trainer": {"max_epochs": 6, "max_steps": 45}}
    assert run_row(directory, config=both).planned_steps == 45
    unknown = {"trainer": {"max_steps": "${steps}"}}
    assert run_row(directory, config=unknown).planned_steps is None
    assert run_row(directory, config=unknown).seconds_left is None
    lease.release()


def test_a_pause_between_two_jobs_does_not_slow_the_estimate(tmp_path: Path) -> None:
    sweep = plan(tmp_path, RUNS)
    directory = begin(sweep, 0, Status(state="running", jobs=2, step=60))
    write_journal(directory, [(step, 1.0) for step in (10, 20, 30)])
    rows = [json.loads(line) for line in directory.journal.read_text().splitlines()]
    later = [{**one, "step": one["step"] + 30, "time": one["time"] + 90_000} for one in rows]
    with directory.journal.open("a") as file:
        file.writelines(json.dumps(one) + "\n" for one in later)
    lease = held(directory.lease)
    left = run_row(directory, config={"trainer": {"max_steps": 100}}).seconds_left
    assert left == pytest.approx(40 * 0.5, rel=0.01)
    lease.release()


def test_only_the_end_of_a_long_journal_is_read_and_no_half_row(tmp_path: Path) -> None:
    sweep = plan(tmp_path, RUNS)
    directory = begin(sweep, 0, Status(state="running", jobs=1, step=4000))
    write_journal(directory, [(step, 1.0) for step in range(1, 2001)])
    write_journal(directory, [(step, 1.0) for step in range(2001, 4001)], seconds_per_step=3.0)
    with directory.journal.open("a") as file:
        file.write('{"step": 9999, "ep')
    lease = held(directory.lease)
    left = run_row(directory, config={"trainer": {"max_steps": 4100}}).seconds_left
    assert left == pytest.approx(100 * 3.0, rel=0.01)
    lease.release()


def test_a_status_that_cannot_be_read_hides_no_other_run(tmp_path: Path) -> None:
    sweep = plan(tmp_path, RUNS)
    begin(sweep, 0, done(0.5))
    sweep.job(1).path.mkdir()
    sweep.job(1).status.write_text("{")
    rows = summarize(sweep).rows
    assert [one.state for one in rows] == ["completed", "lost", "queued", "queued"]
    assert "status.json cannot be read" in (rows[1].error or "")


def test_a_damaged_journal_leaves_the_time_unknown(tmp_path: Path) -> None:
    sweep = plan(tmp_path, RUNS)
    directory = begin(sweep, 0, Status(state="running", jobs=1, step=9), curve=[(5, 1), (9, 1)])
    directory.journal.write_text(directory.journal.read_text() + "]}\n")
    lease = held(directory.lease)
    assert summarize(sweep).rows[0].seconds_left is None
    lease.release()


def test_a_run_that_gives_no_sign_of_life_is_silent(tmp_path: Path) -> None:
    sweep = plan(tmp_path, RUNS)
    directory = begin(sweep, 0, Status(state="running", jobs=1))
    lease = held(directory.lease)
    assert not summarize(sweep).rows[0].is_silent
    long_ago = time.time() - 600
    os.utime(directory.status, (long_ago, long_ago))
    assert summarize(sweep).rows[0].is_silent
    lease.release()


def test_what_a_search_has_not_proposed_yet_is_to_come(tmp_path: Path) -> None:
    assert summarize(plan(tmp_path, RUNS, total=30)).num_to_come == 26


def test_no_sweep_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no sweep"):
        summarize(SweepDirectory(tmp_path))


@pytest.mark.parametrize(("mode", "order"), [("min", [2, 0, 3]), ("max", [0, 3, 2])])
def test_runs_are_ranked_by_score_and_of_equal_ones_by_number(mode: str, order: list[int]) -> None:
    nan, inf = float("nan"), float("inf")
    rows = [row(3, 0.5), row(0, 0.5), row(1, None), row(2, 0.1), row(4, nan), row(5, inf)]
    assert [one.number for one in ranked(rows, mode=mode)] == order


def test_the_best_run_is_a_completed_one_if_there_is_any() -> None:
    running, completed = row(0, 0.1, "running"), row(1, 0.5)
    assert best_of([running, completed], mode="min") == completed
    assert best_of([running], mode="min") == running
    assert best_of([row(0, None)], mode="min") is None


def test_the_log_of_a_job_is_what_its_pool_caught_else_that_of_rank_0(tmp_path: Path) -> None:
    directory = begin(plan(tmp_path, RUNS), 0, failed("x"))
    assert log_of(directory.path) is None
    directory.logs.mkdir()
    directory.log_of_rank(0).write_text("Traceback")
    directory.console.write_text("")
    assert log_of(directory.path) == directory.log_of_rank(0)
    directory.console.write_text("Killed")
    assert log_of(directory.path) == directory.console

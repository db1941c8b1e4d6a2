"""A run that was killed is told as it stood last, not as its last status says."""

from pathlib import Path

import pytest

from runner.build.trained.result import trained_step
from runner.checkpoint.manifest import step_path, write_manifest
from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row, rows_since
from runner.run.latest import latest_status
from runner.run.status import Status, write_status
from runner.sweeps.summary import run_row
from tests.sweeps.runs import config_of, make_run


def killed(path: Path, scores: dict[int, float], *, saved: list[int], **trainer: object):
    """Make a run that was killed after `scores`; its status is that of step 20."""
    run = make_run(
        path,
        status=Status(state="running", step=20, jobs=1, score=0.5, best_step=20),
        config=config_of(trainer=trainer),
        evaluations={step: {"loss": score} for step, score in scores.items()},
    )
    for step in saved:
        folder = step_path(run.checkpoints, step)
        folder.mkdir(parents=True)
        write_manifest(folder, step=step, tied={})
    return run


def test_the_last_row_and_the_newest_checkpoint_count(tmp_path: Path) -> None:
    run = killed(tmp_path / "run", {20: 0.5, 40: 0.3, 60: 0.4}, saved=[40, 65])
    assert latest_status(run) == Status(state="lost", step=65, jobs=1, score=0.3, best_step=40)
    row = run_row(run)
    assert (row.state, row.step, row.score, row.best_step) == ("lost", 65, 0.3, 40)
    assert trained_step(run) == 40


def test_a_higher_score_is_better_where_the_config_says_so(tmp_path: Path) -> None:
    run = killed(tmp_path / "run", {40: 0.7, 60: 0.6}, saved=[], best_mode="max")
    status = latest_status(run)
    assert status is not None and (status.score, status.best_step) == (0.7, 40)


def test_what_is_better_by_too_little_is_not_the_best(tmp_path: Path) -> None:
    run = killed(tmp_path / "run", {40: 0.49, 60: float("nan")}, saved=[], min_improvement=0.1)
    status = latest_status(run)
    assert status is not None and (status.score, status.best_step) == (0.5, 20)


def test_without_the_best_the_better_of_what_was_saved_is_used(tmp_path: Path) -> None:
    run = killed(tmp_path / "run", {20: 0.5, 40: 0.3, 60: 0.9, 80: 0.2}, saved=[40, 60])
    assert trained_step(run) == 40  # that of step 80 was not whole yet


def test_a_status_of_a_run_that_ended_is_not_changed(tmp_path: Path) -> None:
    run = killed(tmp_path / "run", {40: 0.3}, saved=[40])
    ended = Status(state="preempted", step=20, jobs=1, score=0.5, best_step=20)
    write_status(run.status, ended)
    assert latest_status(run) == ended


@pytest.mark.parametrize("block", [7, 60, 200, 65_536])
def test_rows_are_read_from_the_end(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.run.journal._BLOCK", block)
    run = RunDirectory(tmp_path)
    assert rows_since(run.journal, 0) == []
    rows = [Row(step, 0.0, 1.0, "train", {"loss": 1.0 / step}) for step in range(1, 9)]
    journal = Journal(run.journal)
    for row in rows:
        journal.append(row)
    journal.close()
    assert rows_since(run.journal, 6) == rows[5:]
    assert rows_since(run.journal, 0) == rows
    with run.journal.open("ab") as file:
        file.write(b'{"broken\n{"step": 9, "epo')
    assert rows_since(run.journal, 7) == rows[6:]

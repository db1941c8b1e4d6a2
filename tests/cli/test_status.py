"""`status`: how the runs of a sweep stand, or one run."""

import json
import os
import time
from pathlib import Path

import pytest

from runner.run.lease import Lease
from runner.run.status import Status
from runner.runtime.signals import StopRequests
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.slurm.book import JobBook
from tests.commands.command import call
from tests.sweeps.runs import make_run
from tests.sweeps.slurm.programs import Commands, line
from tests.sweeps.sweep_directories import begin, done, failed, plan

RUNS = [[f"optimizer.lr={lr}", f"seed={seed}"] for lr in ("0.1", "0.01") for seed in (1, 2)]


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDirectory:
    """One completed, one failed, one lost, one queued run."""
    sweep = plan(tmp_path / "sweep", RUNS)
    begin(sweep, 0, done(0.123))
    run = begin(sweep, 1, failed("RuntimeError: boom\nwith more lines"))
    run.logs.mkdir()
    run.console.write_text("Traceback")
    begin(sweep, 2, Status(state="running", jobs=1, step=50, score=float("nan")))
    return sweep


def test_it_shows_a_row_for_each_run_and_why_some_have_none(
    sweep: SweepDirectory, tmp_path: Path
) -> None:
    done = call("status", "sweep", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["run", "state", "step", "evaluation.loss"]
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["0", "completed"],
        ["1", "failed"],
        ["2", "lost"],
        ["3", "queued"],
    ]
    assert lines[1].endswith("optimizer.lr=0.1 seed=1")
    assert "run 1 failed: RuntimeError: boom" in lines
    assert "with more lines" not in done.stdout
    assert "  sweep/1/logs/console.log" in lines
    assert any(line.startswith("run 2 lost: its process is gone") for line in lines)


def test_the_last_lines_say_how_it_stands_and_how_to_go_on(
    sweep: SweepDirectory, tmp_path: Path
) -> None:
    *_, sentence, way_on = call("status", "sweep", cwd=tmp_path).stdout.splitlines()
    assert sentence == (
        "4 runs: 1 completed, 1 failed, 1 lost, 1 queued; "
        "best evaluation.loss=0.123 is run 0 (optimizer.lr=0.1 seed=1)"
    )
    assert way_on == ("it is not running; to go on: python -m runner resume sweep")


def test_while_it_runs_it_says_so(sweep: SweepDirectory, tmp_path: Path) -> None:
    lease = Lease(sweep.lease, on_beat=lambda: None, stop=StopRequests())
    lease.acquire()
    assert call("status", "sweep", cwd=tmp_path).stdout.endswith("the sweep is running\n")
    lease.release()


def test_a_sweep_that_is_done_has_no_way_on(tmp_path: Path) -> None:
    sweep = plan(tmp_path / "sweep", RUNS[:1])
    begin(sweep, 0, done(0.1))
    assert "to go on" not in call("status", "sweep", cwd=tmp_path).stdout


def test_json_has_a_valid_line_for_each_run(sweep: SweepDirectory, tmp_path: Path) -> None:
    lines = call("status", "sweep", "--json", cwd=tmp_path).stdout.splitlines()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)  # NaN is not JSON

    rows = [json.loads(line, parse_constant=refuse) for line in lines]
    assert [row["state"] for row in rows] == ["completed", "failed", "lost", "queued"]
    assert rows[0]["score"] == 0.123 and rows[2]["score"] is None
    assert rows[0]["overrides"] == {"optimizer.lr": "0.1", "seed": "1"}
    assert rows[1]["error"] == "RuntimeError: boom\nwith more lines"
    assert Path(tmp_path, rows[1]["log"]).read_text() == "Traceback"


def test_failed_shows_only_those(sweep: SweepDirectory, tmp_path: Path) -> None:
    (line,) = call("status", "sweep", "--json", "--failed", cwd=tmp_path).stdout.splitlines()
    assert json.loads(line)["number"] == 1
    shown = call("status", "sweep", "--failed", cwd=tmp_path).stdout
    assert "boom" in shown and "queued  " not in shown
    assert "4 runs: 1 completed" in shown  # the whole is told nevertheless


def test_many_reasons_are_cut_but_not_with_failed(tmp_path: Path) -> None:
    sweep = plan(tmp_path / "sweep", [[f"seed={seed}"] for seed in range(14)])
    for number in range(14):
        begin(sweep, number, failed(f"RuntimeError: number {number}"))
    shown = call("status", "sweep", cwd=tmp_path).stdout
    assert "number 9" in shown and "number 10" not in shown
    assert "... and 4 more" in shown
    assert "number 13" in call("status", "sweep", "--failed", cwd=tmp_path).stdout


def test_one_run_is_shown_too(sweep: SweepDirectory, tmp_path: Path) -> None:
    header, row, *_ = call("status", "sweep/0", cwd=tmp_path).stdout.splitlines()
    assert "run" not in header.split()
    assert row.split()[:3] == ["completed", "100", "0.123"]
    (line,) = call("status", "sweep/2", "--json", cwd=tmp_path).stdout.splitlines()
    assert json.loads(line)["state"] == "lost"
    assert json.loads(line)["planned_steps"] == 100


def test_a_run_without_a_sign_of_life_is_named(sweep: SweepDirectory, tmp_path: Path) -> None:
    lease = Lease(sweep.job(2).lease, on_beat=lambda: None, stop=StopRequests())
    lease.acquire()
    long_ago = time.time() - 3600
    os.utime(sweep.job(2).status, (long_ago, long_ago))
    shown = call("status", "sweep", cwd=tmp_path).stdout
    assert "run 2 running: no sign of life for 60 min" in shown
    lease.release()


@pytest.fixture
def on_cluster(sweep: SweepDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """The same sweep with jobs: the lost run was requeued, the queued one begins."""
    JobBook(sweep.slurm).submitted("sweep-1", {2: "7_2", 3: "7_3"})
    commands = Commands(tmp_path, monkeypatch)
    waits = line("7_2", "PENDING", "Priority")
    commands("squeue", waits + line("7_3", "RUNNING", nodes="node1"))
    return commands


def test_jobs_of_a_cluster_are_shown_with_where_they_are(
    sweep: SweepDirectory, on_cluster: Commands, tmp_path: Path
) -> None:
    lines = call("status", "sweep", cwd=tmp_path).stdout.splitlines()
    assert lines[0].split()[:4] == ["run", "state", "job", "where"]
    assert lines[3].split()[:5] == ["2", "queued", "7_2", "pending:", "Priority"]
    assert lines[4].split()[:4] == ["3", "running", "7_3", "node1"]
    assert "1 run pending: jobs with a higher priority are before it (Priority)" in lines
    assert lines[-2].startswith("4 runs: 1 completed, 1 failed, 1 running, 1 queued; best")
    assert lines[-1] == (
        "nobody watches it, its jobs go on; to watch: python -m runner resume sweep; "
        "to end them: python -m runner cancel sweep"
    )


def test_json_tells_of_the_job(on_cluster: Commands, tmp_path: Path) -> None:
    rows = [
        json.loads(one)
        for one in call("status", "sweep", "--json", cwd=tmp_path).stdout.splitlines()
    ]
    assert [row["job"] for row in rows] == [None, None, "7_2", "7_3"]
    assert [row["where"] for row in rows] == [None, None, "pending: Priority", "node1"]
    assert rows[2]["why"].endswith("(Priority)") and rows[3]["why"] is None


def test_one_run_of_a_sweep_on_a_cluster_has_its_job(on_cluster: Commands, tmp_path: Path) -> None:
    (line,) = call("status", "sweep/2", "--json", cwd=tmp_path).stdout.splitlines()
    assert (json.loads(line)["state"], json.loads(line)["job"]) == ("queued", "7_2")


def test_a_single_run_that_waits_has_no_files_of_its_own_yet(
    on_cluster: Commands, tmp_path: Path
) -> None:
    JobBook(tmp_path / "alone" / "slurm.jsonl").submitted("alone", {0: "7_2"})
    header, row, *_ = call("status", "alone", cwd=tmp_path).stdout.splitlines()
    assert header.split()[0] == "state" and row.split()[:2] == ["queued", "7_2"]


def test_a_queue_that_cannot_be_asked_is_said_and_the_files_speak(
    on_cluster: Commands, tmp_path: Path
) -> None:
    on_cluster("squeue", error="Unable to contact slurm controller", code=1)
    shown = call("status", "sweep", cwd=tmp_path).stdout
    assert [one.split()[1] for one in shown.splitlines()[3:5]] == ["lost", "queued"]
    assert "Slurm could not be asked: squeue failed: Unable to contact" in shown


def test_a_report_knows_the_jobs_too(on_cluster: Commands, tmp_path: Path) -> None:
    assert call("report", "sweep", cwd=tmp_path).returncode == 0
    page = (tmp_path / "sweep" / "report" / "report.md").read_text()
    assert "1 running" in page and "lost" not in page


def test_what_is_neither_is_one_sentence(tmp_path: Path) -> None:
    done = call("status", ".", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "neither a sweep (it has no sweep.json) nor a run" in done.stderr
    done = call("status", "nowhere", cwd=tmp_path)
    assert done.returncode == 2 and "nowhere" in done.stderr


def test_a_run_that_is_done_is_two_lines_with_its_metric(tmp_path: Path) -> None:
    make_run(tmp_path / "over")
    header, row = call("status", "over", cwd=tmp_path).stdout.splitlines()
    assert "evaluation.loss" in header and "0.5" in row


def test_a_run_without_a_checkpoint_can_only_begin_again(tmp_path: Path) -> None:
    failed = make_run(tmp_path / "run", status=Status(state="failed", step=23, jobs=1, error="no"))
    told = "no checkpoint was saved; to begin again: python -m runner resume run\n"
    assert call("status", "run", cwd=tmp_path).stdout.endswith(told)
    (failed.checkpoints / "step_00000020").mkdir(parents=True)
    (failed.checkpoints / "step_00000020" / "manifest.json").touch()
    shown = call("status", "run", cwd=tmp_path).stdout
    assert shown.endswith("to go on: python -m runner resume run\n") and "begin again" not in shown


def test_a_run_that_can_go_on_says_how(tmp_path: Path) -> None:
    make_run(tmp_path / "my run", status=Status(state="preempted", jobs=1))
    shown = call("status", "my run", cwd=tmp_path).stdout
    assert shown.endswith("to go on: python -m runner resume 'my run'\n")
    make_run(tmp_path / "over")
    assert "resume" not in call("status", "over", cwd=tmp_path).stdout

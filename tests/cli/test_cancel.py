"""`cancel`: end the jobs of a sweep or a run."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from runner.run.lease import Lease
from runner.run.status import Status, read_raw_status
from runner.runtime.signals import StopRequests
from runner.sweeps.decisions import Action, decide
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.slurm.book import JobBook
from tests.commands.command import call
from tests.sweeps.slurm.programs import Commands, calls_in, line
from tests.sweeps.sweep_directories import begin, done, failed, plan

HOLDER = """
import signal, sys
from pathlib import Path
from runner.run.lease import Lease
from runner.runtime.signals import StopRequests

with StopRequests() as stop:
    lease = Lease(Path(sys.argv[1]), on_beat=lambda: None, stop=stop)
    lease.acquire()
    print("held", flush=True)
    while stop.received is None:
        signal.pause()
    lease.release(last=lambda: Path(sys.argv[1] + ".left").write_text(stop.received.name))
"""


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path, monkeypatch)


@contextmanager
def holder(lease: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a lease until it is asked to leave."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lease)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def hold_elsewhere(path: Path) -> None:
    lease = Lease(path, on_beat=lambda: None, stop=StopRequests())
    lease.acquire()
    lease.stop_beating()
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "far", "boot": "x"}))


def state(run: RunDirectory) -> str | None:
    status = read_raw_status(run.status)
    return status and status.state


def on_cluster(path: Path, *, runs: int) -> SweepDirectory:
    sweep = plan(path, [[f"seed={seed}"] for seed in range(runs)])
    JobBook(sweep.slurm).submitted("s-1", {number: f"7_{number}" for number in range(runs)})
    return sweep


def test_jobs_of_a_cluster_are_cancelled_in_one_word_an_array(
    tmp_path: Path, commands: Commands
) -> None:
    sweep = on_cluster(tmp_path / "s", runs=5)
    JobBook(sweep.slurm).submitted("s-2", {4: "9"})
    begin(sweep, 0, done(0.5))
    begin(sweep, 1, Status(state="running", jobs=1))
    begin(sweep, 2, failed("RuntimeError: boom"))
    ended = line("7_0", "COMPLETED")
    alive = (
        line("7_2", "COMPLETING")
        + line("7_1", "RUNNING")
        + line("7_3", "PENDING", "Priority")
        + line("9", "PENDING")
    )
    commands("squeue", ended + alive)
    calls = commands.cancel_all(ended + line("7_1", "CANCELLED") + line("7_3", "CANCELLED"))
    said = call("cancel", "s", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert calls_in(calls) == ["7 9"]
    states = [state(sweep.job(number)) for number in range(5)]
    assert states == ["completed", "cancelled", "failed", "cancelled", "cancelled"]
    assert "cancelled 4 jobs; 5 runs: 1 completed, 1 failed, 3 cancelled" in said.stdout
    assert said.stdout.endswith("to go on: python -m runner resume s\n")
    assert JobBook(sweep.slurm).last_ids.keys() == {0}
    for number in (1, 3, 4):  # the next start of the sweep does them
        assert decide(read_raw_status(sweep.job(number).status), retry="none") is Action.RESUME


def test_what_was_being_submitted_is_found_by_its_name(tmp_path: Path, commands: Commands) -> None:
    sweep = plan(tmp_path / "s", [["seed=1"]])
    JobBook(sweep.slurm).submitting("s-1", [0])
    commands("squeue", "")
    calls = commands.cancel_all("")
    said = call("cancel", "s", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert calls_in(calls) == [f"--name=s-1 --user={os.getuid()}"]
    assert not JobBook(sweep.slurm).unconfirmed


def test_one_run_of_a_sweep_is_cancelled_alone(tmp_path: Path, commands: Commands) -> None:
    sweep = on_cluster(tmp_path / "s", runs=2)
    begin(sweep, 1, Status(state="running", jobs=1))
    JobBook(sweep.slurm).submitting("s-2", [0])
    commands("squeue", line("7_0", "RUNNING") + line("7_1", "RUNNING"))
    calls = commands.cancel_all(line("7_0", "RUNNING"))
    said = call("cancel", "s/1", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert calls_in(calls) == ["7_1"]
    assert state(sweep.job(1)) == "cancelled" and state(sweep.job(0)) is None


def test_a_job_that_comes_back_is_cancelled_again(tmp_path: Path, commands: Commands) -> None:
    sweep = on_cluster(tmp_path / "s", runs=1)
    commands("squeue", line("7_0", "NODE_FAIL"))
    calls = commands.cancel_all("")
    (commands.folder / "scancel").write_text(
        f'#!/bin/sh\necho "$*" >> {calls}\n'
        f'[ $(wc -l < {calls}) = 1 ] && echo "7_0|PENDING|BeginTime|0|1||" '
        f"> {commands.folder}/squeue.out || : > {commands.folder}/squeue.out\n"
    )
    assert call("cancel", "s", cwd=tmp_path).returncode == 0
    assert calls_in(calls) == ["7", "7"]
    assert state(sweep.job(0)) == "cancelled"


def test_who_watches_the_sweep_leaves_first(tmp_path: Path, commands: Commands) -> None:
    sweep = on_cluster(tmp_path / "s", runs=1)
    commands("squeue", line("7_0", "PENDING"))
    commands.cancel_all("")
    with holder(sweep.lease) as process:
        assert call("cancel", "s", cwd=tmp_path).returncode == 0
        assert process.wait(timeout=10) == 0
    assert Path(f"{sweep.lease}.left").read_text() == "SIGTERM"
    assert state(sweep.job(0)) == "cancelled"


def test_jobs_are_cancelled_also_when_somebody_far_away_watches(
    tmp_path: Path, commands: Commands
) -> None:
    sweep = on_cluster(tmp_path / "s", runs=1)
    hold_elsewhere(sweep.lease)
    commands("squeue", line("7_0", "PENDING"))
    commands.cancel_all("")
    said = call("cancel", "s", cwd=tmp_path)
    assert f"process {os.getpid()} on far watches the sweep" in said.stdout
    assert state(sweep.job(0)) == "cancelled"
    assert JobBook(sweep.slurm).last_ids == {0: "7_0"}  # its holder writes the book


def test_a_job_that_stays_is_not_called_cancelled(
    tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.cli.cancel.STOP_SECONDS", 0.1)
    sweep = on_cluster(tmp_path / "s", runs=1)
    commands("squeue", line("7_0", "RUNNING"))
    commands("scancel", error="Access/permission denied", code=1)
    said = call("cancel", "s", cwd=tmp_path)
    assert said.returncode == 1 and "Access/permission denied" in said.stderr
    assert state(sweep.job(0)) is None


def test_a_job_that_stays_although_it_was_asked_to_leave_is_told(
    tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.cli.cancel.STOP_SECONDS", 0.1)
    sweep = on_cluster(tmp_path / "s", runs=2)
    commands("squeue", line("7_0", "RUNNING") + line("7_1", "RUNNING"))
    commands.cancel_all(line("7_0", "RUNNING"))
    monkeypatch.setattr("runner.sweeps.slurm.cancelling._ASK_SECONDS", 0.05)
    said = call("cancel", "s", cwd=tmp_path)
    assert said.returncode == 1
    assert "cancelled 1 job, and others are still there 0.1 s after" in said.stderr
    assert (state(sweep.job(0)), state(sweep.job(1))) == (None, "cancelled")


def test_a_job_is_cancelled_also_of_a_run_that_was_cancelled_before(
    tmp_path: Path, commands: Commands
) -> None:
    sweep = on_cluster(tmp_path / "s", runs=1)
    begin(sweep, 0, Status(state="cancelled", jobs=1))
    commands("squeue", line("7_0", "PENDING"))
    commands.cancel_all("")
    said = call("cancel", "s", cwd=tmp_path)
    assert said.stdout.startswith("cancelled 1 job; 1 run: 1 cancelled"), said.stdout


@pytest.mark.parametrize("submitted", [True, False])
def test_who_watches_a_single_run_leaves_first(
    tmp_path: Path, commands: Commands, submitted: bool
) -> None:
    run = RunDirectory(tmp_path / "r")
    JobBook(run.slurm).opened({}, {})
    if submitted:
        JobBook(run.slurm).submitted("r-1", {0: "7"})
    run.slurm_folder.mkdir()
    commands("squeue", line("7", "PENDING"))
    commands.cancel_all("")
    with holder(run.slurm_lease) as process:
        said = call("cancel", "r", cwd=tmp_path)
        assert said.returncode == 0, said.stderr
        assert process.wait(timeout=10) == 0
    kind = "job" if submitted else "run"
    assert said.stdout.startswith(f"cancelled 1 {kind}; the run is cancelled\n")


def test_a_sweep_without_jobs_has_nothing_to_cancel(tmp_path: Path, commands: Commands) -> None:
    sweep = on_cluster(tmp_path / "s", runs=2)
    for number in range(2):
        begin(sweep, number, done(0.5))
    commands("squeue", "")
    said = call("cancel", "s", cwd=tmp_path)
    assert said.returncode == 0
    assert said.stdout.startswith("nothing to cancel") and "2 completed" in said.stdout


def test_a_local_sweep_is_stopped_and_its_runs_are_cancelled(tmp_path: Path) -> None:
    sweep = plan(tmp_path / "s", [["seed=1"], ["seed=2"]])
    run = begin(sweep, 0, Status(state="running", jobs=1))
    with holder(sweep.lease), holder(run.lease):
        said = call("cancel", "s", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert Path(f"{sweep.lease}.left").exists() and Path(f"{run.lease}.left").exists()
    assert state(run) == "cancelled" and state(sweep.job(1)) is None
    assert "cancelled 1 run; 2 runs: 1 cancelled, 1 queued" in said.stdout


def test_a_run_here_is_asked_to_save_and_leave(tmp_path: Path) -> None:
    run = begin(plan(tmp_path, [["seed=1"]]), 0, Status(state="running", jobs=1))
    (tmp_path / "sweep.json").unlink()  # alone
    with holder(run.lease) as process:
        said = call("cancel", "0", cwd=tmp_path)
        assert process.wait(timeout=10) == 0
    assert said.stdout.startswith("cancelled 1 run; the run is cancelled\n")
    assert state(run) == "cancelled"
    assert call("cancel", "0", cwd=tmp_path).stdout.startswith("nothing to cancel")


def test_a_run_that_ends_by_itself_meanwhile_stays_completed(tmp_path: Path) -> None:
    run = begin(plan(tmp_path, [["seed=1"]]), 0, done(0.5))
    (tmp_path / "sweep.json").unlink()
    with holder(run.lease):
        said = call("cancel", "0", cwd=tmp_path)
    assert said.stdout.startswith("nothing to cancel") and "is completed" in said.stdout
    assert state(run) == "completed"


def test_a_run_elsewhere_is_not_touched(tmp_path: Path) -> None:
    run = begin(plan(tmp_path, [["seed=1"]]), 0, Status(state="running", jobs=1))
    (tmp_path / "sweep.json").unlink()
    hold_elsewhere(run.lease)
    said = call("cancel", "0", cwd=tmp_path)
    assert said.returncode == 1 and "on far, which cannot be reached from here" in said.stderr
    assert state(run) == "running"


def test_a_run_of_a_local_sweep_at_work_would_be_started_again(tmp_path: Path) -> None:
    sweep = plan(tmp_path / "s", [["seed=1"]])
    begin(sweep, 0, Status(state="running", jobs=1))
    hold_elsewhere(sweep.lease)
    said = call("cancel", "s/0", cwd=tmp_path)
    assert said.returncode == 1 and "python -m runner cancel s" in said.stderr


def test_a_process_that_stays_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.cli.cancel.STOP_SECONDS", 0.2)
    run = begin(plan(tmp_path, [["seed=1"]]), 0, Status(state="running", jobs=1))
    (tmp_path / "sweep.json").unlink()
    with holder(run.lease) as process:
        process.send_signal(signal.SIGSTOP)
        said = call("cancel", "0", cwd=tmp_path)
    assert said.returncode == 1 and "is still there after 0.2 s" in said.stderr


def test_what_is_neither_is_one_sentence(tmp_path: Path) -> None:
    said = call("cancel", ".", cwd=tmp_path)
    assert said.returncode == 1 and "neither a sweep" in said.stderr

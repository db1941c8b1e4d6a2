"""Sweeps on a real Slurm: submitted, left, found again; nothing is lost and nothing done twice."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.run.journal import read_journal
from runner.run.status import read_raw_status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.slurm.book import JobBook
from tests.commands.cluster_commands import (
    GATED,
    HELD,
    LEFT,
    SLURM,
    Terminal,
    open_gate,
    put_gate,
)
from tests.commands.command import call, run, start
from tests.slurm.cluster import SlurmCluster, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]

Jobs = Callable[[], dict[str, str]]

SHORT = ("-m", *SLURM, "trainer.max_steps=3")


def sweep_in(folder: Path) -> SweepDirectory:
    (record,) = (folder / "outputs").rglob("sweep.json")
    return SweepDirectory(record.parent)


def book_of(folder: Path) -> JobBook:
    return JobBook(sweep_in(folder).slurm)


def assert_done_once(directory: SweepDirectory, count: int, *, jobs: int = 1) -> None:
    """Assert that all runs are complete, in so many jobs, and have logged each row once."""
    for number in range(count):
        run_directory = directory.job(number)
        status = read_raw_status(run_directory.status)
        assert status is not None and (status.state, status.jobs) == ("completed", jobs)
        rows = [(row.step, row.split) for row in read_journal(run_directory.journal)]
        assert rows and len(rows) == len(set(rows))


@pytest.fixture
def jobs(slurm_cluster: SlurmCluster) -> Jobs:
    """The states of the jobs of this test."""
    before = slurm_cluster.squeue().keys()
    return lambda: {id: state for id, state in slurm_cluster.squeue().items() if id not in before}


def test_submitted_and_left_it_starts_nothing_twice_and_is_watched_later(
    slurm_cluster: SlurmCluster, jobs: Jobs, tmp_path: Path
) -> None:
    command = (*SHORT, HELD, "hardware.slurm.memory_gb=1,2")
    left = call(*command, LEFT, cwd=tmp_path)
    assert left.returncode == 0, left.stderr
    first, second = book_of(tmp_path).last_ids.values()
    assert "_" not in first + second, "what is swept of the resources makes a job of its own"
    assert f"(jobs {first}, {second})" in left.stderr
    assert [slurm_cluster.job(id)["MinMemoryNode"] for id in (first, second)] == ["1G", "2G"]
    again = call(*command, LEFT, cwd=tmp_path)
    assert (again.returncode, len(jobs())) == (0, 2), again.stderr
    assert "2 on the cluster, to be watched" in again.stderr
    here = call(*command, "hydra/launcher=local", cwd=tmp_path)
    assert here.returncode == 2
    assert "2 runs of" in here.stderr and "wait or run on the cluster" in here.stderr
    slurm_cluster.call("scontrol", "release", f"{first},{second}")
    directory = sweep_in(tmp_path)
    watched = call("resume", str(directory.path), cwd=tmp_path)
    assert watched.returncode == 0, watched.stderr
    assert "[2/2] run" in watched.stderr
    assert_done_once(directory, 2)


@pytest.mark.parametrize("moment", ["after", pytest.param("before", marks=pytest.mark.slow)])
def test_killed_while_it_submits_it_submits_anew(jobs: Jobs, tmp_path: Path, moment: str) -> None:
    deadly = tmp_path / "bin" / "sbatch"
    deadly.parent.mkdir()
    lines = {"before": "kill -9 $PPID", "after": "/usr/bin/sbatch $*; kill -9 $PPID"}
    deadly.write_text(f"#!/bin/sh\n{lines[moment]}\n")
    deadly.chmod(0o755)
    command = (*SHORT, "seed=1,2")
    killed = run(*command, cwd=tmp_path, PATH=f"{deadly.parent}:{os.environ['PATH']}")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(jobs()) == {"before": 0, "after": 2}[moment]
    assert book_of(tmp_path).unconfirmed and not book_of(tmp_path).last_ids
    done = call(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_done_once(sweep_in(tmp_path), 2)
    states = sorted(jobs().values())
    assert states.count("COMPLETED") == 2
    assert not book_of(tmp_path).unconfirmed


def test_in_a_terminal_it_tells_why_jobs_wait_and_asks_at_a_stop(
    jobs: Jobs, tmp_path: Path
) -> None:
    watched = Terminal(*SHORT, HELD, "seed=1,2", cwd=tmp_path)
    watched.wait_for("0 of 2 done · 0 at work · 2 queued (JobHeldUser)")
    watched.type("\x03")
    watched.wait_for("leave what is on the cluster, or cancel it? [L/c]")
    watched.type("\x03")
    watched.wait_for("2 runs of")
    assert watched.wait() == 128 + signal.SIGINT
    assert set(jobs().values()) == {"PENDING"}
    directory = sweep_in(tmp_path)
    back = Terminal("resume", str(directory.path), cwd=tmp_path)
    back.wait_for("2 queued (JobHeldUser)")
    back.type("\x03")
    back.wait_for("[L/c]")
    back.type("c\n")
    back.wait_for("stopped; to go on")
    assert back.wait() == 128 + signal.SIGINT
    assert set(jobs().values()) <= {"CANCELLED"}
    local = ("hydra/launcher=local", "hydra.launcher.slots=2")
    here = call("resume", str(directory.path), *local, cwd=tmp_path)
    assert here.returncode == 0, here.stderr
    assert_done_once(directory, 2)


def test_what_is_watched_in_a_terminal_is_cancelled_from_another(
    jobs: Jobs, tmp_path: Path
) -> None:
    watched = Terminal(*SHORT, HELD, "seed=1,2", cwd=tmp_path)
    watched.wait_for("2 queued (JobHeldUser)")
    said = call("cancel", str(sweep_in(tmp_path).path), cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert watched.wait() == 128 + signal.SIGTERM
    assert "[L/c]" not in watched.text
    assert set(jobs().values()) <= {"CANCELLED"}


def test_what_the_cluster_refuses_fails_and_the_others_go_on(jobs: Jobs, tmp_path: Path) -> None:
    why = "the cluster refused the jobs: invalid partition specified: nope"
    done = call(*SHORT, "hardware.slurm.partition=nope,low", cwd=tmp_path)
    assert done.returncode == 1
    assert why in done.stderr and "Traceback" not in done.stderr
    first, second = (read_raw_status(sweep_in(tmp_path).job(n).status) for n in (0, 1))
    assert first is not None and first.state == "failed"
    assert first.error is not None and first.error.startswith(why)
    assert second is not None and second.state == "completed"
    assert list(jobs().values()) == ["COMPLETED"]


@pytest.mark.slow
def test_a_task_that_a_person_cancels_in_the_queue_is_not_submitted_again(
    slurm_cluster: SlurmCluster, jobs: Jobs, tmp_path: Path
) -> None:
    process = start(*SHORT, HELD, "seed=1,2", cwd=tmp_path)
    wait_until(lambda: len(jobs()) == 2, seconds=60)
    first, second = sorted(jobs())
    slurm_cluster.call("scancel", first)
    slurm_cluster.call("scontrol", "release", second)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1, told
    statuses = [read_raw_status(sweep_in(tmp_path).job(n).status) for n in (0, 1)]
    assert [status and status.state for status in statuses] == ["cancelled", "completed"], told
    assert jobs().keys() <= {first, second}


def test_a_search_is_not_left_alone(jobs: Jobs, tmp_path: Path) -> None:
    search = ("hydra/sweeper=random", "optimizer.lr=interval(0,1)", LEFT)
    done = call(*SHORT, *search, cwd=tmp_path)
    assert done.returncode == 2 and "proposes runs as others have ended" in done.stderr
    assert jobs() == {} and list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_search_has_so_many_jobs_at_once(jobs: Jobs, tmp_path: Path) -> None:
    search = ("hydra/sweeper=random", "hydra.sweeper.n_trials=5", "optimizer.lr=interval(0.01,1)")
    process = start(*SHORT, *search, "hydra.launcher.array_parallelism=2", cwd=tmp_path)
    most = 0
    while process.poll() is None:
        states = jobs().values()
        most = max(most, sum(state in ("PENDING", "RUNNING") for state in states))
    _, told = process.communicate()
    assert process.returncode == 0, told
    assert most == 2
    assert_done_once(sweep_in(tmp_path), 5)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_who_watches_may_die_and_another_watches_one_at_a_time(
    jobs: Jobs, tmp_path: Path, number: signal.Signals
) -> None:
    put_gate(tmp_path)
    command = ("-m", *GATED, "seed=1,2")
    watching = start(*command, cwd=tmp_path)
    wait_until(lambda: "RUNNING" in jobs().values(), seconds=60)
    second = call("resume", str(sweep_in(tmp_path).path), cwd=tmp_path)
    assert second.returncode == 1 and f"is in use by process {watching.pid}" in second.stderr
    watching.send_signal(number)
    _, stderr = watching.communicate(timeout=60)
    assert watching.returncode in (-number, 128 + number), stderr
    assert set(jobs().values()) <= {"RUNNING", "PENDING"}
    third = start(*command, cwd=tmp_path)
    open_gate(tmp_path)
    _, told = third.communicate(timeout=120)
    assert third.returncode == 0, told
    assert_done_once(sweep_in(tmp_path), 2)
    assert sorted(jobs().values()) == ["COMPLETED"] * 2


def test_without_slurm_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for extra in ((), ("-m",)):
        done = call(*extra, *SLURM, "trainer.max_steps=3", cwd=tmp_path)
        assert done.returncode == 1
        assert "there is no sbatch on this machine" in done.stderr
        assert not list(tmp_path.rglob("*.json*"))

"""The harder ends of jobs of a real Slurm: no time left, no node left, no hope left."""

import re
from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from tests.slurm.cluster import SlurmCluster
from tests.slurm.runs import (
    MISCHIEF_AT,
    SAVED,
    RunOnCluster,
    assert_same_end,
    submit_array,
    undisturbed,
)

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return undisturbed(tmp_path_factory.mktemp("straight") / "run")


def test_time_that_is_up_many_times_costs_no_step(
    slurm_cluster: SlurmCluster, tmp_path: Path, straight: RunDirectory
) -> None:
    """Again and again: for a limit of a minute the warning comes after some 20 seconds."""
    run = RunOnCluster(slurm_cluster, tmp_path / "run")
    pace = "+callbacks.pace"
    always_slow = (f"{pace}.at=1", f"{pace}.seconds=1.5", f"{pace}.starts=99")
    run.submit(*always_slow, f"{pace}.mischief=none", time=1, signal_delay_s=15)
    run.wait_for("COMPLETED", "FAILED", "TIMEOUT", seconds=280)
    assert_same_end(run, straight)
    assert run.restarts >= 2
    words = run.directory.console.read_text()
    for step in run.from_steps[1:]:
        assert re.search(rf"saved step={step} .*\nstopped", words), words


def test_time_that_is_up_in_a_long_step_costs_what_was_not_saved(
    slurm_cluster: SlurmCluster, tmp_path: Path, straight: RunDirectory
) -> None:
    """No signal is handled in the step: it is the thread that asks Slurm for another start."""
    run = RunOnCluster(slurm_cluster, tmp_path / "run")
    run.submit("+callbacks.pace.mischief=ponder", time=1, signal_delay_s=20)
    run.wait_for("COMPLETED", "FAILED", "TIMEOUT", seconds=280)
    assert_same_end(run, straight)
    assert run.restarts == 1 and run.from_steps == [0, SAVED]


@pytest.mark.parametrize("quietly", [False, True])
def test_a_run_outlives_its_node(
    slurm_cluster: SlurmCluster, tmp_path: Path, straight: RunDirectory, quietly: bool
) -> None:
    run = RunOnCluster(slurm_cluster, tmp_path / "run").submit()
    run.wait_until(lambda: run.is_waiting, seconds=60)
    node = slurm_cluster.job(run.id)["NodeList"]
    slurm_cluster.node_down(node, quietly=quietly)
    run.wait_until(lambda: run.restarts == 1, seconds=120)
    run.wait_for("COMPLETED", "FAILED")
    assert_same_end(run, straight)
    assert run.from_steps[1], "nothing was saved"
    assert slurm_cluster.job(run.id)["NodeList"] != node


def test_a_job_that_gets_nowhere_is_given_up_with_the_reason(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    run = RunOnCluster(slurm_cluster, tmp_path / "run")
    run.submit("+callbacks.pace.mischief=die", "+callbacks.pace.starts=99", retries=1)
    run.wait_for("FAILED", "COMPLETED", seconds=200)
    # Twice from 15 on: the last one is one too many.
    assert run.slurm_state == "FAILED" and run.from_steps == [0, SAVED, SAVED], run.words
    assert run.status.state == "failed"
    assert run.status.error is not None
    assert "2 starts of Slurm job" in run.status.error and "SIGKILL" in run.status.error
    assert run.cluster.job(run.id)["ExitCode"] != "0:0"


def test_a_node_that_is_at_fault_is_left(
    slurm_cluster: SlurmCluster, tmp_path: Path, straight: RunDirectory
) -> None:
    run = RunOnCluster(slurm_cluster, tmp_path / "run").submit("+callbacks.pace.mischief=fault")
    run.wait_for("RUNNING")
    node = slurm_cluster.job(run.id)["NodeList"]
    run.wait_for("COMPLETED", "FAILED")
    assert_same_end(run, straight)
    job = slurm_cluster.job(run.id)
    assert job["ExcNodeList"] == node != job["NodeList"]


def test_every_other_signal_is_obeyed_as_well(
    slurm_cluster: SlurmCluster, tmp_path: Path, straight: RunDirectory
) -> None:
    names = ("USR1", "INT", "HUP")
    runs = {name: RunOnCluster(slurm_cluster, tmp_path / name / "run").submit() for name in names}
    for name, run in runs.items():
        run.strike("scancel", f"--signal={name}", run.id)
    for run in runs.values():
        run.wait_for("COMPLETED", "FAILED")
        assert_same_end(run, straight)
        assert run.restarts == 1 and (run.from_steps[1] or 0) >= MISCHIEF_AT


def test_jobs_of_an_array_come_back_each_for_itself(
    slurm_cluster: SlurmCluster, tmp_path: Path, straight: RunDirectory
) -> None:
    died, warned, quiet = (RunOnCluster(slurm_cluster, tmp_path / f"{n}" / "run") for n in range(3))
    works = {died: died.work("+callbacks.pace.mischief=die")}
    submit_array(tmp_path / "slurm", {**works, warned: warned.work(), quiet: quiet.work()})
    warned.strike("scancel", "--signal=USR2", warned.id)
    quiet.go_on()
    for run in (died, warned, quiet):
        run.wait_for("COMPLETED", "FAILED")
        assert_same_end(run, straight)
    assert [run.restarts for run in (died, warned, quiet)] == [1, 1, 0]

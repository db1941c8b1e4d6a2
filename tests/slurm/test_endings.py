"""The harder ends of jobs of a real Slurm: no time left, no node left, no hope left."""

from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from tests.slurm.cluster import SlurmCluster
from tests.slurm.runs import SAVE_EVERY, RunOnCluster, assert_same_end, undisturbed

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(300)]

BRIEF = "trainer.max_steps=40"


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return undisturbed(tmp_path_factory.mktemp("straight") / "run")


def test_time_that_is_up_is_warned_of_and_the_job_goes_on(
    slurm_cluster: SlurmCluster, tmp_path: Path, straight: RunDirectory
) -> None:
    """The warning comes a minute early: at once, for a limit of a minute."""
    run = RunOnCluster(slurm_cluster, tmp_path / "run")
    run.submit("+callbacks.pace.seconds=1.5", time=1, signal_delay_s=15)
    run.wait_for("COMPLETED", "FAILED", "TIMEOUT", seconds=280)
    assert_same_end(run, straight)
    assert run.restarts >= 1
    assert all(step % SAVE_EVERY for step in run.from_steps[1:] if step), "saved by the signal"


def test_time_that_is_up_in_a_long_step_costs_what_was_not_saved(
    slurm_cluster: SlurmCluster, tmp_path: Path, straight: RunDirectory
) -> None:
    """No signal is handled in the step: it is the thread that asks Slurm for another start."""
    run = RunOnCluster(slurm_cluster, tmp_path / "run")
    run.submit("+callbacks.pace.mischief=ponder", time=1, signal_delay_s=20)
    run.wait_for("COMPLETED", "FAILED", "TIMEOUT", seconds=280)
    assert_same_end(run, straight)
    assert run.restarts == 1 and run.from_steps == [0, SAVE_EVERY]


@pytest.mark.parametrize("quietly", [False, True])
def test_a_run_outlives_its_node(
    slurm_cluster: SlurmCluster, tmp_path: Path, straight: RunDirectory, quietly: bool
) -> None:
    run = RunOnCluster(slurm_cluster, tmp_path / "run").submit()
    run.wait_for_checkpoint()
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
    # 0 -> 10, then twice from 10 on: the last one is one too many.
    assert run.slurm_state == "FAILED" and run.from_steps == [0, 10, 10], run.words
    assert run.status.state == "failed"
    assert run.status.error is not None
    assert "2 starts of Slurm job" in run.status.error and "SIGKILL" in run.status.error
    assert run.cluster.job(run.id)["ExitCode"] != "0:0"


def test_a_node_that_is_at_fault_is_left(
    slurm_cluster: SlurmCluster, tmp_path: Path, straight: RunDirectory
) -> None:
    run = RunOnCluster(slurm_cluster, tmp_path / "run").submit("+callbacks.pace.mischief=fault")
    run.wait_for_checkpoint()
    node = slurm_cluster.job(run.id)["NodeList"]
    run.wait_for("COMPLETED", "FAILED")
    assert_same_end(run, straight)
    job = slurm_cluster.job(run.id)
    assert job["ExcNodeList"] == node != job["NodeList"]

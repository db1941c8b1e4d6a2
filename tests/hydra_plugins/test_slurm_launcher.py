"""Hydra's own suites for launchers: `slurm` does on a cluster what the basic one does here."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)

from runner.run.directory import RunDirectory
from runner.run.status import read_raw_status
from tests.commands.cluster_commands import GATED, SLURM, put_gate
from tests.commands.command import call, start
from tests.hydra_plugins.test_launcher_suites import as_old_applications
from tests.slurm.cluster import SlurmCluster, wait_until

__all__ = ["as_old_applications"]  # a fixture

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm_cluster")]

BASIC = ("-m", "hydra/sweeper=basic", "hydra.sweep.dir=s", "seed=1,2")


@pytest.mark.timeout(300)
def test_runs_get_what_they_ask_for_in_one_array(
    slurm_cluster: SlurmCluster, new_jobs: Callable[[], list[str]], tmp_path: Path
) -> None:
    before = slurm_cluster.squeue().keys()
    asked = ("hardware.slurm.memory_gb=1.5", "hardware.slurm.sbatch={comment: mine}")
    done = call(*SLURM, *BASIC, *asked, "trainer.max_steps=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert new_jobs() == ["COMPLETED"] * 2
    ids = slurm_cluster.squeue().keys() - before
    assert {id.partition("_")[2] for id in ids} == {"0", "1"}
    told = slurm_cluster.job(sorted(ids)[0])
    assert (told["MinMemoryNode"], told["Comment"]) == ("1.50G", "mine")


@pytest.mark.timeout(300)
def test_a_stop_leaves_no_job_behind(
    slurm_cluster: SlurmCluster, new_jobs: Callable[[], list[str]], tmp_path: Path
) -> None:
    put_gate(tmp_path)
    sweeping = start(*GATED, *BASIC, cwd=tmp_path)
    steps = [RunDirectory(tmp_path / "s" / number).journal for number in "01"]
    wait_until(lambda: all(path.exists() for path in steps), seconds=120)
    sweeping.send_signal(signal.SIGINT)
    _, told = sweeping.communicate(timeout=120)
    assert sweeping.returncode == 128 + signal.SIGINT, told
    assert set(new_jobs()) == {"CANCELLED"}
    for number in "01":
        status = read_raw_status(RunDirectory(tmp_path / "s" / number).status)
        assert status is not None and status.state == "cancelled"


@pytest.mark.slow
@pytest.mark.parametrize(("launcher_name", "overrides"), [("slurm", [])])
class TestSlurmLauncher(LauncherTestSuite):
    pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher_name", "overrides"), [("slurm", ["hydra.sweeper.max_batch_size=2"])]
)
class TestSlurmLauncherInBatches(BatchedSweeperTestSuite):
    pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=slurm"])]
)
class TestSlurmLauncherIntegration(IntegrationTestSuite):
    pass


@pytest.mark.parametrize(("launcher_name", "overrides"), [("slurm", [])])
class TestSlurmLauncherInShort:
    test_sweep_2_jobs = LauncherTestSuite.test_sweep_2_jobs
    get_task_function = LauncherTestSuite.get_task_function

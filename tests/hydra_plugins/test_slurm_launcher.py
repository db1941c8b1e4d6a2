"""Hydra's own suites for launchers: `slurm` does on a cluster what the basic one does here."""

import pytest
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)

from tests.hydra_plugins.test_launcher_suites import as_old_applications

__all__ = ["as_old_applications"]  # a fixture

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm_cluster")]


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

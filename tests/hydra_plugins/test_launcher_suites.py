"""Hydra's own suites for launchers: `local` does what the basic one does."""

import warnings
from collections.abc import Iterator

import pytest
from hydra import version
from hydra.core.singleton import Singleton
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)

# They read no configs of ours: what is here alone makes jobs run beside one another.
OVERRIDES = ["hydra.launcher.slots=2"]


@pytest.fixture(autouse=True)
def as_old_applications() -> Iterator[None]:
    """Change to the directory of a job, as the suites expect; other tests have said otherwise."""
    state = Singleton.get_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        version.setbase("1.1")
    yield
    Singleton.set_state(state)


@pytest.mark.parametrize(("launcher_name", "overrides"), [("local", OVERRIDES)])
class TestLocalLauncher(LauncherTestSuite):
    pass


@pytest.mark.parametrize(
    ("launcher_name", "overrides"), [("local", [*OVERRIDES, "hydra.sweeper.max_batch_size=2"])]
)
class TestLocalLauncherInBatches(BatchedSweeperTestSuite):
    pass


@pytest.mark.slow  # each starts a command, twelve in all; test_local_launcher.py has the essence
@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=local", *OVERRIDES])]
)
class TestLocalLauncherIntegration(IntegrationTestSuite):
    pass

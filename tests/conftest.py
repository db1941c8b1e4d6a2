"""Options and settings of all tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import browser, started_browser
from tests.slurm.cluster import (
    new_jobs,
    slurm_cluster,
    slurm_cluster_with_accounting,
    slurm_conf,
)

__all__ = [  # fixtures
    "browser",
    "new_jobs",
    "slurm_cluster",
    "slurm_cluster_with_accounting",
    "slurm_conf",
    "started_browser",
]

# Before torch is imported: tests are many and small.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The processes that tests start find runner as pytest does.
_paths = [str(Path(__file__).parents[1] / "src"), os.environ.get("PYTHONPATH", "")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, _paths))

# Under nohup, and behind an &, they are ignored, which what the tests start would inherit.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

KINDS = ("slow", "slurm")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take long, too")
    parser.addoption("--slurm", action="store_true", help="run the tests that need Slurm, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for kind in KINDS:
        if config.getoption(f"--{kind}"):
            continue
        for item in items:
            if item.get_closest_marker(kind) is not None:  # not `keywords`: folders are in them
                item.add_marker(pytest.mark.skip(reason=f"run with --{kind}"))


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the key with which runs are signed out of the home; fixtures of modules sign, too."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of the tests."""
    for name in ("RUNNER_CONFIG_DIR", "RUNNER_OUTPUT_DIR", "HYDRA_FULL_ERROR", "RUNNER_CODE"):
        monkeypatch.delenv(name, raising=False)

"""What `new` makes is used as a user would: trained, checked, tested."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.facade.run import Run
from tests.commands.command import BARE, SOURCES, call, only_run, run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("projects")
    done = call("new", "my_curves", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "cd my_curves && python -m runner +experiment=my_curves" in done.stdout
    return folder / "my_curves"


def test_it_trains_at_once(project: Path) -> None:
    done = run("+experiment=my_curves", *BARE, cwd=project)
    assert done.returncode == 0, done.stderr
    trained = Run(only_run(project, "my_curves"))
    assert trained.status.state == "completed"
    assert trained.score is not None and trained.score > 0.9


def test_it_passes_the_check(project: Path) -> None:
    done = call("check", "+experiment=my_curves", cwd=project)
    assert done.returncode == 0, done.stderr


def test_its_own_test_passes(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_invalid_name_is_told_in_a_sentence(tmp_path: Path) -> None:
    done = call("new", "my-curves", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "'my-curves' cannot be the name of a Python package" in done.stderr

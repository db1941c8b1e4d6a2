"""SIGKILL in every place, its end included: the next job goes on as if it had not been."""

from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from runner.run.status import read_status
from tests.job.forked import KILLED, train_and_die
from tests.job.places import PLACES, assert_ends_like, options
from tests.training.harness import train


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("straight")
    train(path, options())
    return path


@pytest.mark.parametrize("place", ["start", *PLACES, "commit", "end", "status"])
def test_a_kill_costs_nothing_but_time(tmp_path: Path, straight: Path, place: str) -> None:
    assert train_and_die(tmp_path, place) == KILLED
    status = read_status(RunDirectory(tmp_path))
    assert status is not None
    assert status.state == ("completed" if place == "status" else "lost")
    assert_ends_like(straight, tmp_path)
    status = read_status(RunDirectory(tmp_path))
    assert status is not None and status.state == "completed"

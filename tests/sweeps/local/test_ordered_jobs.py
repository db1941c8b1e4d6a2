"""Real runs in the pool: with loader workers, with several ranks, killed and tried again."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.config.compose import compose
from runner.config.validate import validate
from runner.job.ordered import OrderedJob
from runner.run.directory import RunDirectory
from runner.run.status import read_status
from runner.sweeps.local.family import family_of
from runner.sweeps.local.pool import LocalPool
from runner.sweeps.local.slots import Slots
from runner.sweeps.pool import Ended, Limits
from tests.sweeps.local.jobs import alive, gone
from tests.sweeps.pools import own_children

PRELOAD = ["torch", "torch._dynamo", "runner.job.ordered"]
BARE = ("trackers=none", "callbacks=none", "hardware=cpu", "hardware.threads=1")
RANKS = "hardware.num_processes=2"


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalPool]:
    pool = LocalPool(Slots(2), preload=PRELOAD, grace_seconds=20.0)
    yield pool
    pool.close()


def ordered(path: Path, *overrides: str) -> OrderedJob:
    frozen = validate(compose([*BARE, *overrides])).frozen
    return OrderedJob(config=frozen, path=path, overrides=overrides, command=())


def log_of(path: Path) -> Path:
    return RunDirectory(path).logs / "console.log"


def ended(pool: LocalPool) -> list[Ended]:
    return pool.poll(100)


def state_of(path: Path) -> str:
    status = read_status(RunDirectory(path))
    assert status is not None
    return status.state


def leader_of(path: Path) -> int:
    """Wait until the run has made a checkpoint, and return the process of its job."""
    (server,) = own_children()
    deadline = time.monotonic() + 60
    while not list(RunDirectory(path).checkpoints.glob("step_*")):
        assert time.monotonic() < deadline, log_of(path).read_text()
        time.sleep(0.02)
    (leader,) = server.children()
    return leader.pid


@pytest.mark.slow
def test_a_run_with_loader_workers_leaves_none_behind(pool: LocalPool, tmp_path: Path) -> None:
    (server,) = own_children()
    job = ordered(tmp_path, "data.num_workers=1", "trainer.max_steps=3")
    pool.submit(0, job, log=log_of(tmp_path))
    assert ended(pool) == [Ended(number=0, exit_code=0)], log_of(tmp_path).read_text()
    assert state_of(tmp_path) == "completed"
    assert gone([child.pid for child in server.children(recursive=True)])


def test_a_run_whose_time_is_over_has_saved(pool: LocalPool, tmp_path: Path) -> None:
    job = ordered(tmp_path, "trainer.max_epochs=100000", "trainer.evaluate_every=null")
    pool.submit(0, job, log=log_of(tmp_path), limits=Limits(seconds=1.5))
    assert ended(pool) == [Ended(number=0, exit_code=143, exceeded="time")]
    assert state_of(tmp_path) == "preempted"


@pytest.mark.slow
def test_ranks_of_a_killed_run_are_gone_and_the_next_try_completes_it(
    pool: LocalPool, tmp_path: Path
) -> None:
    endless = ("trainer.max_epochs=100000", "trainer.evaluate_every=null")
    every = "checkpoint.every=5 steps"
    pool.submit(0, ordered(tmp_path, RANKS, every, *endless), log=log_of(tmp_path), slots=2)
    leader = leader_of(tmp_path)
    family = [member.pid for member in family_of(leader)]
    assert len(family) >= 3  # the supervisor and two ranks
    os.kill(leader, signal.SIGKILL)
    assert ended(pool) == [Ended(number=0, signal=signal.SIGKILL)]
    assert alive(family) == []
    assert state_of(tmp_path) == "lost"
    shorter = ordered(tmp_path, RANKS, every, "trainer.max_duration=0.1 seconds", *endless)
    pool.submit(0, shorter, log=log_of(tmp_path), slots=2)
    assert ended(pool) == [Ended(number=0, exit_code=0)], log_of(tmp_path).read_text()
    assert state_of(tmp_path) == "completed"
    assert "resumed step=" in log_of(tmp_path).read_text()


def test_a_run_whose_server_is_killed_saves_and_the_next_try_goes_on(
    pool: LocalPool, tmp_path: Path
) -> None:
    endless = ("trainer.max_epochs=100000", "trainer.evaluate_every=null")
    every = "checkpoint.every=5 steps"
    pool.submit(0, ordered(tmp_path, every, *endless), log=log_of(tmp_path))
    leader_of(tmp_path)
    (server,) = own_children()
    server.kill()
    assert ended(pool) == [Ended(number=0, signal=signal.SIGKILL)]
    assert state_of(tmp_path) == "preempted"
    job = ordered(tmp_path, every, "trainer.max_duration=0.1 seconds", *endless)
    pool.submit(0, job, log=log_of(tmp_path))
    assert ended(pool) == [Ended(number=0, exit_code=0)], log_of(tmp_path).read_text()
    assert state_of(tmp_path) == "completed"

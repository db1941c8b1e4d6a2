"""Whoever is killed, nobody stays behind: the jobs save if they can, and are told of."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from runner.sweeps.local.pool import LocalPool
from runner.sweeps.local.slots import Slots
from runner.sweeps.pool import Ended
from tests.sweeps.local import jobs
from tests.sweeps.local.conftest import GRACE_SECONDS
from tests.sweeps.local.test_pool import next_ended
from tests.sweeps.pools import own_children

SCRIPT = """
import sys
from functools import partial
from pathlib import Path
from runner.sweeps.local.pool import LocalPool
from runner.sweeps.local.slots import Slots
from tests.sweeps.local import jobs

pool = LocalPool(Slots(2), grace_seconds=float(sys.argv[1]))
work = {
    "good": partial(jobs.wait_for_stop, Path("good")),
    "bad": partial(jobs.never_stop, Path("bad"), commands=2),
}
for number, name in enumerate(sys.argv[2:]):
    pool.submit(number, work[name], log=Path("log"))
try:
    while True:
        pool.poll(60)
except KeyboardInterrupt:
    pool.close()
    Path("closed").touch()
"""
Sweep = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Sweep]:
    """Start a process with a pool and the jobs "good", which saves, and "bad", which stays."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*names: str, grace_seconds: float = GRACE_SECONDS) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(grace_seconds), *names],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def server_of(pid: int) -> int:
    (server,) = own_children(pid)
    return server.pid


def test_what_a_job_that_was_killed_has_started_is_gone_when_it_is_told(
    pool: LocalPool, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    pool.submit(0, partial(jobs.never_stop, ready, commands=1), log=tmp_path / "log")
    pids = jobs.pids_in(ready)
    os.kill(pids[0], signal.SIGKILL)
    assert next_ended(pool) == [Ended(number=0, signal=signal.SIGKILL)]
    assert jobs.alive(pids) == []


def test_without_their_server_jobs_save_and_leave_and_the_next_has_another(
    pool: LocalPool, tmp_path: Path
) -> None:
    log, ready = tmp_path / "log", tmp_path / "ready"
    pool.submit(0, partial(jobs.wait_for_stop, ready, seconds=0.3), log=log)
    pids = jobs.pids_in(ready)
    os.kill(server_of(os.getpid()), signal.SIGKILL)
    assert next_ended(pool) == [Ended(number=0, signal=signal.SIGKILL)]
    assert (tmp_path / "ready.saved").read_text() == str(int(signal.SIGTERM))
    assert jobs.alive(pids) == []  # not before: the next try needs its directory
    pool.submit(0, jobs.succeed, log=log)
    assert next_ended(pool) == [Ended(number=0, exit_code=0)]


def test_a_job_that_stays_without_its_server_is_killed(pool: LocalPool, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    pool.submit(0, partial(jobs.never_stop, ready, commands=1), log=tmp_path / "log")
    pids = jobs.pids_in(ready)
    os.kill(server_of(os.getpid()), signal.SIGKILL)
    assert next_ended(pool) == [Ended(number=0, signal=signal.SIGKILL)]
    assert jobs.alive(pids) == []


def test_jobs_that_wait_begin_with_another_server(pool: LocalPool, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    pool.submit(0, partial(jobs.wait_for_stop, ready), log=tmp_path / "log", slots=2)
    pool.submit(1, jobs.succeed, log=tmp_path / "log")
    jobs.pids_in(ready)
    os.kill(server_of(os.getpid()), signal.SIGKILL)
    assert next_ended(pool, 2) == [
        Ended(number=0, signal=signal.SIGKILL),
        Ended(number=1, exit_code=0),
    ]


def test_a_server_that_was_killed_while_idle_costs_no_job(pool: LocalPool, tmp_path: Path) -> None:
    server = server_of(os.getpid())
    os.kill(server, signal.SIGKILL)
    assert jobs.gone([server])
    pool.submit(0, jobs.succeed, log=tmp_path / "log")
    assert next_ended(pool) == [Ended(number=0, exit_code=0)]


def test_a_server_that_cannot_begin_is_told_once_for_each_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly.py").write_text("import os\nos._exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    pool = LocalPool(Slots(1), preload=["deadly"])
    try:
        for number in range(2):
            pool.submit(number, jobs.succeed, log=tmp_path / "log")
        assert next_ended(pool, 2) == [
            Ended(number=number, signal=signal.SIGKILL) for number in range(2)
        ]
    finally:
        pool.close()


def test_without_their_pool_jobs_save_or_are_killed(sweep: Sweep, tmp_path: Path) -> None:
    process = sweep("good", "bad")
    pids = [*jobs.pids_in(tmp_path / "good"), *jobs.pids_in(tmp_path / "bad")]
    pids.append(server_of(process.pid))
    process.kill()
    assert jobs.gone(pids)
    assert (tmp_path / "good.saved").read_text() == str(int(signal.SIGTERM))


def test_without_pool_and_server_the_same(sweep: Sweep, tmp_path: Path) -> None:
    process = sweep("good", "bad")
    pids = [*jobs.pids_in(tmp_path / "good"), *jobs.pids_in(tmp_path / "bad")]
    server = server_of(process.pid)
    os.kill(server, signal.SIGSTOP)  # it must not see the end of its pool before its own
    for pid in (process.pid, server):
        os.kill(pid, signal.SIGKILL)
    assert jobs.gone(pids)
    assert (tmp_path / "good.saved").read_text() == str(int(signal.SIGTERM))


def test_ctrl_c_reaches_jobs_through_the_pool_alone(sweep: Sweep, tmp_path: Path) -> None:
    process = sweep("good")
    pids = [*jobs.pids_in(tmp_path / "good"), server_of(process.pid)]
    assert {os.getsid(pid) for pid in pids}.isdisjoint({process.pid})  # nor Ctrl-\\ or Ctrl-Z
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) == 0
    assert (tmp_path / "closed").exists()
    assert jobs.alive(pids) == []
    assert (tmp_path / "good.saved").read_text() == str(int(signal.SIGTERM))


def test_a_server_is_not_ended_by_what_asks_to_stop(sweep: Sweep, tmp_path: Path) -> None:
    process = sweep("good")
    jobs.pids_in(tmp_path / "good")
    server = server_of(process.pid)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
        os.kill(server, number)
    time.sleep(0.2)
    assert jobs.alive([server])

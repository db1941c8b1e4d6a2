import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.errors import Interrupted
from runner.sweeps.local.pool import LocalPool
from runner.sweeps.local.slots import Slots
from runner.sweeps.pool import Ended, Limits, Pool
from tests.sweeps.local import jobs
from tests.sweeps.local.conftest import GRACE_SECONDS, SLOTS
from tests.sweeps.pools import own_children

MANY = 20.0  # seconds: until what is expected has happened on a busy machine


def next_ended(pool: Pool, count: int = 1) -> list[Ended]:
    """Return what ended, sorted by number, when that many have."""
    ended: list[Ended] = []
    deadline = time.monotonic() + MANY
    while len(ended) < count and time.monotonic() < deadline:
        ended += pool.poll(1.0)
    return sorted(ended, key=lambda end: end.number)


def facts_of(pool: Pool, folder: Path, number: int = 0, slots: int = 1) -> dict[str, Any]:
    path = folder / f"{number}.json"
    pool.submit(number, partial(jobs.write_facts, path), log=folder / "log", slots=slots)
    assert next_ended(pool) == [Ended(number=number, exit_code=0)]
    return json.loads(path.read_text())


def test_a_job_is_like_a_fresh_process(pool: LocalPool, tmp_path: Path) -> None:
    log = tmp_path / "a" / "b" / "console.log"
    path = tmp_path / "facts"
    pool.submit(3, partial(jobs.write_facts, path), log=log)
    assert next_ended(pool) == [Ended(number=3, exit_code=0)]
    facts = json.loads(path.read_text())
    assert facts["session"] == facts["pid"] != os.getpid()
    assert facts["stdin"] == 0
    assert facts["files"] == 4  # the three, and the one that tells of the server's end
    assert facts["blocked"] == 0
    assert facts["SIGINT"] and facts["SIGTERM"] and facts["SIGCHLD"] and facts["SIGHUP"]
    assert facts["folder"] == str(Path.cwd())
    assert facts["path"] == sys.path
    assert sorted(log.read_text().splitlines()) == ["from a child", "to stderr", "to stdout ä"]


def test_a_job_has_this_environment_and_its_slots_in_it(
    pool: LocalPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET_LATER", "yes")
    environment = facts_of(pool, tmp_path)["environment"]
    assert environment["OMP_NUM_THREADS"] == "4"
    assert {**environment, "OMP_NUM_THREADS": ""} == {**os.environ, "OMP_NUM_THREADS": ""}
    assert facts_of(pool, tmp_path, 1, slots=2)["environment"]["OMP_NUM_THREADS"] == "8"


def test_jobs_of_nohup_outlive_the_terminal(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        pool = LocalPool(Slots(1))
        assert not facts_of(pool, tmp_path)["SIGHUP"]
        pool.close()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_modules_are_imported_once_and_not_here(tmp_path: Path) -> None:
    pool = LocalPool(Slots(1), preload=["numpy.random", "no_such_module", "wave"])
    try:
        before = set(sys.modules)
        facts = [facts_of(pool, tmp_path, number) for number in range(2)]
        assert {"numpy.random", "wave"} <= set(facts[0]["modules"])
        assert "wave" not in before
        assert facts[0]["random"] != facts[1]["random"]
        assert facts[0]["number"] != facts[1]["number"]
    finally:
        pool.close()
    assert own_children() == []


@pytest.mark.parametrize(
    ("work", "code", "words"),
    [
        (jobs.succeed, 0, ""),
        (partial(jobs.leave_with, 3), 3, ""),
        (partial(jobs.leave_with, None), 0, ""),
        (partial(jobs.leave_with, "in words"), 1, "in words\n"),
        (partial(jobs.raise_, Interrupted(signal.SIGUSR1)), 128 + signal.SIGUSR1, "before\n"),
        (partial(jobs.raise_, KeyboardInterrupt()), 130, "before\n"),
    ],
)
def test_its_exit_code_is_told(
    pool: LocalPool, tmp_path: Path, work: Any, code: int, words: str
) -> None:
    pool.submit(0, work, log=tmp_path / "log")
    assert next_ended(pool) == [Ended(number=0, exit_code=code)]
    assert (tmp_path / "log").read_text() == words


def test_a_traceback_is_in_the_log_which_is_appended_to(pool: LocalPool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for number in (0, 1):
        pool.submit(number, partial(jobs.raise_, ValueError("as it is")), log=log)
        assert next_ended(pool) == [Ended(number=number, exit_code=1)]
    assert log.read_text().count("ValueError: as it is") == 2
    assert log.read_text().startswith("before\nTraceback")


def test_what_cannot_be_unpickled_is_told_in_the_log(
    pool: LocalPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    (tmp_path / "passing.py").write_text("def work():\n    return 0\n")
    import passing  # type: ignore[import-not-found]

    (tmp_path / "passing.py").unlink()
    pool.submit(0, passing.work, log=tmp_path / "log")
    assert next_ended(pool) == [Ended(number=0, exit_code=1)]
    assert "No module named 'passing'" in (tmp_path / "log").read_text()


def test_a_log_that_cannot_be_opened_fails_the_job(pool: LocalPool, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pool.submit(0, jobs.succeed, log=tmp_path / "file" / "log")
    assert next_ended(pool) == [Ended(number=0, exit_code=1)]


def test_what_a_process_does_at_its_end_is_done_but_not_what_is_the_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lasting.py").write_text(
        "import atexit, pathlib, weakref\n"
        "class Held: ...\n"
        "held = Held()\n"
        "weakref.finalize(held, pathlib.Path(__file__).with_name('server').touch)\n"
        "atexit.register(pathlib.Path(__file__).with_name('server').touch)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    pool = LocalPool(Slots(1), preload=["lasting"])
    try:
        pool.submit(0, partial(jobs.leave_slowly, tmp_path), log=tmp_path / "log")
        assert next_ended(pool) == [Ended(number=0, exit_code=0)]
    finally:
        pool.close()
    names = {path.name for path in tmp_path.iterdir()}
    assert {"thread", "atexit", "finalizer"} <= names
    assert "server" not in names
    assert (tmp_path / "log").read_text() == "last words"


def test_what_a_job_leaves_on_purpose_lives_on(pool: LocalPool, tmp_path: Path) -> None:
    pool.submit(0, partial(jobs.leave_behind, tmp_path / "ready"), log=tmp_path / "log")
    assert next_ended(pool) == [Ended(number=0, exit_code=0)]
    (left,) = [psutil.Process(pid) for pid in jobs.pids_in(tmp_path / "ready")]
    assert jobs.alive([left.pid]) == [left.pid]
    if sys.platform == "linux":  # where an init may not reap what is left to it
        assert left.parent() in own_children()
    left.kill()
    deadline = time.monotonic() + MANY
    while left.is_running():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_crash_tells_where_in_the_log(pool: LocalPool, tmp_path: Path) -> None:
    pool.submit(0, os.abort, log=tmp_path / "log")  # type: ignore[arg-type]
    assert next_ended(pool) == [Ended(number=0, signal=signal.SIGABRT)]
    assert "Fatal Python error: Aborted" in (tmp_path / "log").read_text()


def test_jobs_wait_for_room_in_their_order(pool: LocalPool, tmp_path: Path) -> None:
    log, done = tmp_path / "log", [tmp_path / str(number) for number in range(4)]
    assert pool.has_room(SLOTS)
    pool.submit(0, partial(jobs.work_until, done[0]), log=log)
    assert pool.has_room(1) and not pool.has_room(2)
    pool.submit(1, partial(jobs.work_until, done[1]), log=log, slots=7)
    assert not pool.has_room(1)  # or small ones would keep a big one waiting for ever
    pool.submit(2, partial(jobs.work_until, done[2]), log=log)
    done[1].touch()
    done[2].touch()
    assert pool.poll(0.3) == []
    done[0].touch()
    assert [end.number for end in [*next_ended(pool), *next_ended(pool), *next_ended(pool)]] == [
        0,
        1,
        2,
    ]
    assert pool.has_room(SLOTS)


def test_an_end_is_seen_at_once(pool: LocalPool, tmp_path: Path) -> None:
    pool.submit(0, partial(jobs.end_at, tmp_path / "end"), log=tmp_path / "log")
    delays = []
    for number in range(1, 4):
        assert len(pool.poll(MANY)) == 1
        delays.append(time.monotonic() - float((tmp_path / "end").read_text()))
        pool.submit(number, partial(jobs.end_at, tmp_path / "end"), log=tmp_path / "log")
    assert min(delays) < 0.05


def test_waiting_costs_nothing(pool: LocalPool, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    pool.submit(0, partial(jobs.never_stop, ready), log=tmp_path / "log")
    jobs.pids_in(ready)
    (server,) = own_children()
    before, mine = server.cpu_times(), time.process_time()
    assert pool.poll(1.0) == []
    after = server.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.05
    assert time.process_time() - mine < 0.05
    pool.kill(0)


def test_a_job_that_is_asked_to_stop_saves_and_leaves(pool: LocalPool, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    pool.submit(0, partial(jobs.wait_for_stop, ready), log=tmp_path / "log")
    jobs.pids_in(ready)
    pool.stop(0)
    assert next_ended(pool) == [Ended(number=0, exit_code=143)]
    assert (tmp_path / "ready.saved").read_text() == str(int(signal.SIGTERM))
    pool.stop(0)  # it has ended: nothing happens


def test_a_job_may_be_stopped_before_it_could_listen(pool: LocalPool, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    for number in range(10):
        pool.submit(number, partial(jobs.work_until, ready), log=tmp_path / "log")
        pool.stop(number)
        assert next_ended(pool) == [Ended(number=number, signal=signal.SIGTERM)]


def test_a_job_that_waits_never_begins_when_it_is_stopped(pool: LocalPool, tmp_path: Path) -> None:
    done = tmp_path / "done"
    pool.submit(0, partial(jobs.work_until, done), log=tmp_path / "log", slots=2)
    pool.submit(1, partial(jobs.touch, tmp_path / "began"), log=tmp_path / "log")
    pool.stop(1)
    assert pool.poll(MANY) == [Ended(number=1, signal=signal.SIGTERM)]
    done.touch()
    assert next_ended(pool) == [Ended(number=0, exit_code=0)]
    assert not (tmp_path / "began").exists()


def test_a_killed_job_takes_along_what_it_has_started(pool: LocalPool, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    pool.submit(0, partial(jobs.never_stop, ready, commands=2), log=tmp_path / "log")
    pids = jobs.pids_in(ready)
    pool.kill(0)
    assert next_ended(pool) == [Ended(number=0, signal=signal.SIGKILL)]
    assert jobs.alive(pids) == []


def test_a_job_whose_time_is_over_saves_and_leaves(pool: LocalPool, tmp_path: Path) -> None:
    work = partial(jobs.wait_for_stop, tmp_path / "ready")
    pool.submit(0, work, log=tmp_path / "log", limits=Limits(seconds=0.4))
    assert next_ended(pool) == [Ended(number=0, exit_code=143, exceeded="time")]


def test_a_job_whose_time_is_over_and_that_stays_is_killed(pool: LocalPool, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    work = partial(jobs.never_stop, ready, commands=1)
    pool.submit(0, work, log=tmp_path / "log", limits=Limits(seconds=0.3))
    pids, begin = jobs.pids_in(ready), time.monotonic()
    assert next_ended(pool) == [Ended(number=0, signal=signal.SIGKILL, exceeded="time")]
    assert time.monotonic() - begin > GRACE_SECONDS - 0.1
    assert jobs.alive(pids) == []


def test_a_job_that_uses_too_much_memory_is_killed(pool: LocalPool, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    limits = Limits(memory_gib=0.25)
    pool.submit(0, partial(jobs.grow, ready, mib=300), log=tmp_path / "log", limits=limits)
    pool.submit(1, partial(jobs.grow, tmp_path / "1", mib=100), log=tmp_path / "log", limits=limits)
    pids = jobs.pids_in(ready)
    assert next_ended(pool) == [Ended(number=0, signal=signal.SIGKILL, exceeded="memory")]
    assert jobs.alive(pids) == []
    assert pool.poll(0.7) == []


def test_close_stops_what_runs_and_kills_what_stays(tmp_path: Path) -> None:
    pool = LocalPool(Slots(2), grace_seconds=GRACE_SECONDS)
    for number, work in enumerate((jobs.wait_for_stop, jobs.never_stop)):
        pool.submit(number, partial(work, tmp_path / str(number)), log=tmp_path / "log")
    pool.submit(2, partial(jobs.touch, tmp_path / "2"), log=tmp_path / "log")
    pids = [pid for number in range(2) for pid in jobs.pids_in(tmp_path / str(number))]
    pool.close()
    assert jobs.alive(pids) == []
    assert (tmp_path / "0.saved").exists()
    assert not (tmp_path / "2").exists()
    assert own_children() == []


SCRIPT = """
import sys
from pathlib import Path
from runner.sweeps.local.pool import LocalPool
from runner.sweeps.local.slots import Slots

WORD = "of a script"

def work():
    print(WORD, sys.argv[1:])
    return 5

if __name__ == "__main__":
    pool = LocalPool(Slots(1))
    pool.submit(0, work, log=Path("log"))
    print(pool.poll(60)[0].exit_code)
    pool.close()
"""


def test_functions_of_a_script_will_do(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py", "word"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("5\n", "")
    assert (tmp_path / "log").read_text() == "of a script ['word']\n"

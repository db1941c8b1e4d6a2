"""Driving the jobs of a sweep to their ends."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from runner.errors import Interrupted
from runner.files import write_json_atomically
from runner.run.directory import RunDirectory
from runner.run.session import JobDescription, Session, open_session
from runner.run.status import Status, read_status, write_status
from runner.runtime.signals import StopRequests
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.drive import Drive
from runner.sweeps.ledger import Combination, Ledger, PlannedRun
from runner.sweeps.outcomes import Outcome
from runner.sweeps.pool import Ended, Whereabouts
from runner.sweeps.source import ListSource
from runner.sweeps.watcher import JobsLeft, Watcher
from tests.sweeps.pools import ForkingPool

Behaviour = Callable[[Session, int], None]  # what a job does; the number counts the run's jobs


class Ear(Watcher):
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.retries: list[tuple[int, Outcome]] = []
        self.ends: dict[int, tuple[Outcome, Status]] = {}

    def began(self, run: PlannedRun, status: Status | None) -> None:
        self.starts.append(run.number)

    def again(self, run: PlannedRun, outcome: Outcome) -> None:
        self.retries.append((run.number, outcome))

    def ended(self, run: PlannedRun, outcome: Outcome, status: Status) -> None:
        assert run.number not in self.ends, "the last word comes once"
        self.ends[run.number] = (outcome, status)


def job(path: Path, behave: Behaviour) -> int:
    description = JobDescription(name="n", config={"path": str(path)}, overrides=[], command=[])
    try:
        with StopRequests() as stop, open_session(RunDirectory(path), description) as session:
            status = read_status(session.directory)
            assert status is not None
            behave(session, status.jobs)
            if stop.received is not None:
                raise Interrupted(stop.received)
    except Interrupted as stopped:
        return stopped.exit_code
    return 0


def complete(session: Session, count: int) -> None:
    session.standing = lambda: {"step": 5, "score": 0.5}


def die(session: Session, count: int, *, times: int) -> None:
    if count <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    complete(session, count)


def fail(session: Session, count: int) -> None:
    raise KeyError("no luck")


def wait_for_a_signal(session: Session, count: int) -> None:
    session.directory.plots.mkdir()  # a sign
    signal.pause()


def drive(path: Path, behaviours: Sequence[Behaviour], slots: int = 2) -> tuple[Drive, Ear]:
    directory, ear = SweepDirectory(path), Ear()
    wanted = [
        Combination(key=str(i), overrides=(f"i={i}",), config={}) for i in range(len(behaviours))
    ]
    runs = Ledger(directory.ledger).add(wanted)
    return (
        Drive(
            directory=directory,
            source=ListSource(runs, total=len(runs)),
            pool=ForkingPool(slots),
            work_of=lambda run: partial(
                job, directory.job(run.number).path, behaviours[run.number]
            ),
            watcher=ear,
        ),
        ear,
    )


def states(path: Path, count: int) -> list[str]:
    found = [read_status(SweepDirectory(path).job(number)) for number in range(count)]
    return [status.state if status else "none" for status in found]


def test_every_run_comes_to_its_end_and_none_harms_another(tmp_path: Path) -> None:
    behaviours = [complete, fail, partial(die, times=2), complete, partial(die, times=9), complete]
    sweep, ear = drive(tmp_path, behaviours)
    sweep.run(StopRequests())
    outcomes = [ear.ends[number][0].value for number in range(6)]
    assert outcomes == ["completed", "error", "completed", "completed", "killed", "completed"]
    assert states(tmp_path, 6) == [
        "completed", "failed", "completed", "completed", "failed", "completed",
    ]  # fmt: skip
    assert ear.retries.count((2, Outcome.KILLED)) == 2
    assert ear.starts.count(4) == 4  # three times more, then it is given up
    error = ear.ends[4][1].error
    assert error == "its process was killed by SIGKILL, 4 times without a step gained"
    assert sweep.pool.most_at_once == 2  # type: ignore[attr-defined]


def test_a_run_whose_job_says_nothing_is_failed_with_a_reason(tmp_path: Path) -> None:
    sweep, _ = drive(tmp_path, [complete])
    sweep.work_of = lambda run: partial(int, 3)
    sweep.run(StopRequests())
    status = read_status(SweepDirectory(tmp_path).job(0))
    assert status == Status(
        state="failed", error="its process ended with exit code 3: see logs/console.log"
    )


def test_the_end_of_an_earlier_job_is_not_taken_for_that_of_this_one(tmp_path: Path) -> None:
    sweep, ear = drive(tmp_path, [complete])
    status = SweepDirectory(tmp_path).job(0).status
    status.parent.mkdir()
    write_status(status, Status(state="failed", step=3, jobs=1, error="ValueError: no luck"))
    sweep.retries, sweep.work_of = 1, lambda run: die_before_the_session
    sweep.run(StopRequests())
    assert ear.retries == [(0, Outcome.KILLED)]
    error = "its process was killed by SIGKILL, 2 times without a step gained"
    assert read_status(SweepDirectory(tmp_path).job(0)) == Status(
        state="failed", step=3, jobs=1, error=error
    )


def test_a_job_that_was_taken_over_is_not_queued_again(tmp_path: Path) -> None:
    sweep, _ = drive(tmp_path, [complete])
    status = SweepDirectory(tmp_path).job(0).status
    status.parent.mkdir()
    write_status(status, Status(state="failed", error="of this very job"))
    sweep.pool = AdoptingPool()
    sweep.run(StopRequests())
    assert read_status(SweepDirectory(tmp_path).job(0)) == Status(
        state="failed", error="of this very job"
    )


class AdoptingPool(ForkingPool):
    """Has the job of run 0 from an earlier process, which has just ended."""

    def adopt(self) -> set[int]:
        return {0}

    def poll(self, seconds: float) -> list[Ended]:
        return [Ended(number=0, exit_code=1)]


def die_before_the_session() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def test_a_stop_lets_every_job_save_and_the_rest_wait(tmp_path: Path) -> None:
    sweep, ear = drive(tmp_path, [wait_for_a_signal, wait_for_a_signal, complete])
    stop = StopRequests()

    def ask() -> None:
        while len(list(tmp_path.glob("*/plots"))) < 2:
            time.sleep(0.01)
        stop.received = signal.SIGINT

    threading.Thread(target=ask).start()
    with pytest.raises(Interrupted):
        sweep.run(stop)
    assert states(tmp_path, 3) == ["preempted", "preempted", "none"]
    assert ear.starts == [0, 1]


def test_a_run_that_another_process_is_at_work_on_is_waited_for(tmp_path: Path) -> None:
    sweep, ear = drive(tmp_path, [complete, complete])
    pool = ForkingPool()
    pool.submit(9, partial(job, tmp_path / "0", linger), log=tmp_path / "log")
    while not (tmp_path / "0" / "plots").exists():
        time.sleep(0.01)
    sweep.run(StopRequests())
    (ended,) = pool.poll(10)
    assert ended.exit_code == 0  # it was left alone
    assert ear.starts == [1]
    assert ear.ends[0][0] is Outcome.COMPLETED
    assert states(tmp_path, 2) == ["completed", "completed"]


def linger(session: Session, count: int) -> None:
    session.directory.plots.mkdir()
    time.sleep(1.5)


def test_a_run_whose_machine_is_gone_is_taken_over(tmp_path: Path) -> None:
    sweep, ear = drive(tmp_path, [complete])
    sweep.patience_seconds = 0.3
    directory = lose(tmp_path)
    taken = partial(take_over, directory.lease)
    sweep.work_of = lambda run: partial(job_after, taken, directory.path)
    sweep.run(StopRequests())
    assert ear.starts == [0]
    assert states(tmp_path, 1) == ["completed"]


def kill_elsewhere(session: Session, count: int) -> None:
    """End as a job does whose machine is gone: its lease stays, and nobody can look behind it."""
    lease = session.directory.lease
    holder = json.loads(lease.read_text())
    write_json_atomically(lease, {**holder, "host": "gone", "boot": "another"})
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_end_of_a_job_whose_machine_is_gone_is_written_when_it_is_sure(tmp_path: Path) -> None:
    sweep, ear = drive(tmp_path, [kill_elsewhere])
    sweep.retries, sweep.patience_seconds = 0, 2.5
    began = time.monotonic()
    sweep.run(StopRequests())
    assert time.monotonic() - began > 2.5
    assert ear.ends[0][1].state == "failed" == states(tmp_path, 1)[0]
    assert not SweepDirectory(tmp_path).job(0).lease.exists()


def test_a_job_elsewhere_that_lives_is_not_written_off(tmp_path: Path) -> None:
    """The cluster says that a job has ended, and another one is at work on the run by now."""
    sweep, ear = drive(tmp_path, [kill_elsewhere])
    sweep.retries = 0
    lease, is_over = SweepDirectory(tmp_path).job(0).lease, threading.Event()

    def beat() -> None:
        while not is_over.wait(0.2):
            if ear.starts and lease.exists() and b"gone" in lease.read_bytes():
                holder = json.loads(lease.read_text())
                write_json_atomically(lease, {**holder, "beat": holder["beat"] + 1})

    thread = threading.Thread(target=beat)
    thread.start()
    sweep.run(StopRequests())
    is_over.set()
    thread.join()
    assert lease.exists() and ear.ends[0][1].state == "running"


class OutlivingPool(ForkingPool):
    """Its jobs are left alone; this one begins none."""

    def __init__(self) -> None:
        super().__init__()
        self.submitted: list[int] = []

    @property
    def outlives(self) -> bool:
        return True

    def submit(self, number: int, work: Callable[[], int], **_: object) -> None:  # type: ignore[override]
        self.submitted.append(number)


class EvictingPool(ForkingPool):
    """Puts each job back into its queue as it ends, until it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self._back: set[int] = set()
        self._stopped: list[Ended] = []

    def whereabouts(self, number: int) -> Whereabouts:
        is_back = number in self._back
        return Whereabouts(text="Resources", is_waiting=is_back, is_back=is_back)

    def poll(self, seconds: float) -> list[Ended]:
        self._back |= {ended.number for ended in super().poll(seconds)}
        stopped, self._stopped = self._stopped, []
        return stopped

    def stop(self, number: int) -> None:
        self._back.remove(number)
        self._stopped.append(Ended(number=number, signal=signal.SIGTERM, is_cancelled=True))


@pytest.mark.timeout(30)
def test_a_run_that_is_over_does_not_wait_for_its_evicted_job(tmp_path: Path) -> None:
    sweep, ear = drive(tmp_path, [complete])
    sweep.pool = EvictingPool()
    sweep.run(StopRequests())
    assert ear.ends[0][0] is Outcome.COMPLETED
    assert states(tmp_path, 1) == ["completed"]


def lose(path: Path) -> RunDirectory:
    """Leave a run as a machine does that is gone."""
    directory = SweepDirectory(path).job(0)
    write_status(directory.status, Status(state="running", step=3, jobs=1))
    holder = {"host": "gone", "token": "x", "beat": 5, "pid": 1, "slurm_job": None}
    write_json_atomically(directory.lease, {**holder, "slurm_restarts": "0", "started": "1"})
    return directory


def test_who_does_not_watch_still_submits_what_a_lost_machine_had(tmp_path: Path) -> None:
    sweep, ear = drive(tmp_path, [complete, complete])
    sweep.pool, sweep.watches, sweep.patience_seconds = OutlivingPool(), False, 1.5
    lose(tmp_path)
    with pytest.raises(JobsLeft) as left:
        sweep.run(StopRequests())
    assert sweep.pool.submitted == ear.starts == [1, 0]
    assert left.value.numbers == (0, 1)


def test_who_does_not_watch_leaves_a_run_that_is_at_work_elsewhere(tmp_path: Path) -> None:
    sweep, _ = drive(tmp_path, [complete, complete])
    sweep.pool, sweep.watches = OutlivingPool(), False
    lease, is_over = lose(tmp_path).lease, threading.Event()

    def beat() -> None:
        while not is_over.wait(0.2):
            holder = json.loads(lease.read_text())
            write_json_atomically(lease, {**holder, "beat": holder["beat"] + 1})

    thread = threading.Thread(target=beat)
    thread.start()
    began = time.monotonic()
    with pytest.raises(JobsLeft) as left:
        sweep.run(StopRequests())
    is_over.set()
    thread.join()
    assert left.value.numbers == (1,) and time.monotonic() - began < 20


def take_over(lease: Path) -> None:
    lease.unlink()  # as the session does after its own patience, which is a minute


def job_after(first: Callable[[], None], path: Path) -> int:
    first()
    return job(path, complete)

"""The last word on a run whose job could not write it, while others may be at work on it."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.files import write_json_atomically
from runner.run.directory import RunDirectory
from runner.run.ending import cancel_run, give_up_run, interrupt_run, requeue_run
from runner.run.lease import beat_of
from runner.run.status import Status, read_raw_status, write_status

RUNNING = Status(state="running", step=4, jobs=1)


def held_elsewhere(run: RunDirectory, beat: int) -> None:
    holder = {"host": "node7", "token": "x", "beat": beat, "pid": 1, "started": "1"}
    write_json_atomically(run.lease, {**holder, "slurm_job": "7", "slurm_restarts": "0"})


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    write_status(run.status, RUNNING)
    held_elsewhere(run, 1)
    return run


@pytest.fixture
def beating(run: RunDirectory) -> Iterator[None]:
    is_over = threading.Event()

    def beat() -> None:
        number = 1
        while not is_over.wait(0.05):
            held_elsewhere(run, number := number + 1)

    thread = threading.Thread(target=beat)
    thread.start()
    yield
    is_over.set()
    thread.join()


@pytest.mark.usefixtures("beating")
def test_a_run_at_work_elsewhere_is_left_alone(run: RunDirectory) -> None:
    assert not give_up_run(run, "no", patience_seconds=0.0)
    assert not cancel_run(run, patience_seconds=5.0)
    assert not interrupt_run(run)
    assert read_raw_status(run.status) == RUNNING
    assert (beat_of(run.lease) or "").startswith("x ")


def test_who_has_not_seen_it_stand_still_believes_a_holder_elsewhere(run: RunDirectory) -> None:
    assert not cancel_run(run, patience_seconds=0.0)
    assert not cancel_run(run, patience_seconds=0.0, silent="x 0")
    assert read_raw_status(run.status) == RUNNING
    assert give_up_run(run, "no", patience_seconds=0.0, silent="x 1")
    assert read_raw_status(run.status) == Status(state="failed", error="no", step=4, jobs=1)
    assert not run.lease.exists()


def test_a_holder_elsewhere_that_stands_still_is_gone(run: RunDirectory) -> None:
    began = time.monotonic()
    assert cancel_run(run, patience_seconds=0.3)
    assert time.monotonic() - began >= 0.3
    assert read_raw_status(run.status) == Status(state="cancelled", step=4, jobs=1)


def test_an_earlier_start_of_the_same_slurm_job_is_gone(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert not interrupt_run(run)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert interrupt_run(run)


@pytest.mark.parametrize("state", ["failed", "cancelled", "pruned"])
def test_the_last_word_of_an_earlier_job_is_taken_back(run: RunDirectory, state: str) -> None:
    facts = {"step": 4, "jobs": 2, "score": 0.5, "best_step": 3}
    before = Status(state=state, error="ECC error", **facts)
    write_status(run.status, before)
    requeue_run(run)
    assert read_raw_status(run.status) == before, "another job is at work on it"
    run.lease.unlink()
    requeue_run(run)
    assert read_raw_status(run.status) == Status(state="queued", **facts)


@pytest.mark.parametrize("state", ["running", "preempted", "queued", "completed"])
def test_what_is_no_last_word_stays(run: RunDirectory, state: str) -> None:
    run.lease.unlink()
    write_status(run.status, Status(state=state, step=4))
    requeue_run(run)
    assert read_raw_status(run.status) == Status(state=state, step=4)
    run.status.unlink()
    requeue_run(run)
    assert not run.status.exists()

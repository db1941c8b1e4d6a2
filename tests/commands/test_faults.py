"""Faults of the world around a run, on whole commands: a second job, the machine's clock."""

import json
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.journal import read_journal
from tests.commands.command import only_run, run, start
from tests.commands.test_run import newest_weights, rows, status, wait_for
from tests.training.harness import tiny_options, train

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
PACKAGE = """
import time

from runner import Callback


class Slow(Callback):
    def on_step_end(self, fit):
        end = time.perf_counter() + 0.02
        while time.perf_counter() < end:  # libfaketime breaks time.sleep
            pass
"""
SLOW = (
    "trainer.max_steps=150",
    "trainer.max_epochs=null",
    "trainer.log_every_steps=5",
    "trainer.evaluate_every=50 steps",
    "checkpoint.every=1 seconds",
    "trackers=none",
    "callbacks=slow",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(PACKAGE)
    (tmp_path / "conf" / "callbacks").mkdir(parents=True)
    (tmp_path / "conf/callbacks/slow.yaml").write_text("slow:\n  _target_: slow.Slow\n")
    return tmp_path


def test_a_second_job_on_a_directory_is_refused_and_the_first_goes_on(project: Path) -> None:
    first = start(*SLOW, "trainer.max_steps=500", cwd=project)
    wait_for(project, "outputs/run/*/metrics.jsonl")
    directory = only_run(project)
    second = run("resume", str(directory), cwd=project)
    assert second.returncode == 1
    assert f"in use by process {first.pid}" in second.stderr
    _, stderr = first.communicate(timeout=60)
    assert first.returncode == 0, stderr
    assert status(directory)["state"] == "completed"
    assert status(directory)["jobs"] == 1


def test_a_job_on_another_host_that_lives_keeps_the_directory(tmp_path: Path) -> None:
    lease = RunDirectory(tmp_path).lease
    holder = {
        "host": "another-host",
        "boot": "b",
        "pid": 7,
        "started": "1",
        "slurm_job": None,
        "slurm_restarts": "0",
        "token": "t",
    }
    is_over = threading.Event()

    def beat() -> None:
        number = 0
        while not is_over.wait(0.1):
            number += 1
            lease.with_suffix(".new").write_text(json.dumps({**holder, "beat": number}))
            lease.with_suffix(".new").replace(lease)

    lease.write_text(json.dumps({**holder, "beat": 0}))
    other = threading.Thread(target=beat)
    other.start()
    try:
        with pytest.raises(RunError, match="in use by process 7 on another-host"):
            train(tmp_path, tiny_options())
    finally:
        is_over.set()
        other.join()
    assert not RunDirectory(tmp_path).journal.exists()


class Clock:
    """The clock of the processes that are started with its environment; it can be set."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # as when a real clock is set
        }

    def set(self, seconds: int) -> None:
        temporary = self._file.with_suffix(".new")
        temporary.write_text(f"{seconds:+d}\n")
        temporary.replace(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    if not FAKETIME.exists():
        pytest.skip("libfaketime is not installed: apt-get install faketime")
    return Clock(tmp_path)


@pytest.mark.slow
def test_a_clock_that_is_stepped_on_and_back_changes_nothing(project: Path, clock: Clock) -> None:
    straight = project / "straight"
    shutil.copytree(project, straight, ignore=lambda *_: ["straight", "outputs"])
    assert run(*SLOW, cwd=straight).returncode == 0

    limited = (*SLOW, "trainer.max_duration=10 minutes")
    process = start(*limited, cwd=project, **clock.environment)
    wait_for(project, "outputs/run/*/metrics.jsonl")
    clock.set(+7200)
    wait_for(project, "outputs/run/*/checkpoints/step_*/manifest.json")
    directory = only_run(project)
    clock.set(-7200)
    before = set((directory / "checkpoints").glob("step_*"))
    deadline = time.monotonic() + 30
    while not set((directory / "checkpoints").glob("step_*")) - before:
        assert time.monotonic() < deadline, "no checkpoint after the step of the clock"
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    second = run("resume", str(directory), cwd=project, **clock.environment)
    assert "in use by process" in second.stderr
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert status(directory)["state"] == "running"

    done = run("resume", str(directory), cwd=project, **clock.environment)
    assert done.returncode == 0, done.stderr
    assert status(directory)["state"] == "completed"
    times = [row.time for row in read_journal(directory / "metrics.jsonl")]
    assert max(times) - min(times) > 7200, "the clock was not stepped"
    assert rows(directory) == rows(only_run(straight))
    assert newest_weights(directory) == newest_weights(only_run(straight))
    speeds = [
        row.values for row in read_journal(directory / "metrics.jsonl") if row.split == "speed"
    ]
    assert all(value >= 0 for values in speeds for value in values.values())

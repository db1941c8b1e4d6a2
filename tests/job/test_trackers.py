"""A tracker that fails, at whatever moment, costs its run nothing, and no other tracker its end."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from runner.job.fit import Job, fit
from runner.run.directory import RunDirectory
from runner.run.session import JobDescription
from runner.run.status import read_status
from runner.trackers.tracker import TrackedRun, Tracker
from tests.training.harness import tiny_options, tiny_parts


class Noted:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def start(self, run: TrackedRun) -> None:
        self.heard.append(run.tracker)

    def finish(self, state: str, model_files: Sequence[Path] = ()) -> None:
        self.heard.append(state)


class NoStart(Noted):
    def start(self, run: TrackedRun) -> None:
        raise TypeError("no start")


class NoEnd(Noted):
    def finish(self, state: str, model_files: Sequence[Path] = ()) -> None:
        raise AttributeError("no end")


def train(path: Path, trackers: dict[str, Tracker]) -> None:
    job = Job(
        directory=RunDirectory(path),
        description=JobDescription(name="tiny", config={}, overrides=[], command=[]),
        build=lambda _: tiny_parts(tiny_options()),
        trackers=trackers,
    )
    fit(job)


def test_a_tracker_that_fails_hides_no_other_and_the_run_is_completed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unstarted, good = NoStart(), Noted()
    train(tmp_path, {"first": unstarted, "second": NoEnd(), "third": good})
    status = read_status(RunDirectory(tmp_path))
    assert status is not None and status.state == "completed"
    assert good.heard == ["third", "completed"]
    assert unstarted.heard == [], "what did not start is not ended"
    warned = [line for line in capsys.readouterr().err.splitlines() if "trackers." in line]
    assert len(warned) == 2
    assert "trackers.first" in warned[0] and "TypeError: no start" in warned[0]
    assert "trackers.second" in warned[1] and "AttributeError: no end" in warned[1]


def test_a_tracker_ends_in_the_thread_in_which_it_began(tmp_path: Path) -> None:
    """What holds a connection of SQLite, for one, can be used nowhere else."""
    threads: list[threading.Thread] = []

    class Threaded(Noted):
        def start(self, run: TrackedRun) -> None:
            threads.append(threading.current_thread())

        def finish(self, state: str, model_files: Sequence[Path] = ()) -> None:
            threads.append(threading.current_thread())

    train(tmp_path, {"first": Threaded(), "second": Threaded()})
    assert threads == [threading.current_thread()] * 4

import logging
import random
import time

import pytest

from runner.trackers import following
from runner.trackers.follower import Follower
from runner.trackers.following import FollowingTracker
from tests.trackers.journals import Shelf
from tests.trackers.mlflow.world import tracked_run, wait_until, write_rows


@pytest.fixture
def run(tmp_path):
    return tracked_run(tmp_path / "run", tracker="shelf")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(following, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(following, "MAX_PAUSE_SECONDS", 0.02)


def test_rows_arrive_while_training_goes_on_and_the_end_with_them(run, quick):
    shelf = Shelf()
    tracker = FollowingTracker(shelf.open)
    tracker.start(run)
    write_rows(run, 0, 3)
    wait_until(lambda: shelf.rows == [0, 1, 2], seconds=10)
    write_rows(run, 3, 5)
    tracker.finish("completed")
    assert (shelf.rows, shelf.ends) == ([0, 1, 2, 3, 4], ["completed"])


def test_a_resumed_run_delivers_only_what_is_new(run):
    shelf = Shelf()
    for first in (0, 4):
        tracker = FollowingTracker(shelf.open)
        tracker.start(run)
        write_rows(run, first, first + 4)
        tracker.finish("preempted")
    assert shelf.rows == list(range(8))
    assert shelf.states == [None, {"rows": 4}]


def test_a_sink_elsewhere_gets_all_again(run):
    first, second = Shelf(), Shelf()
    write_rows(run, 0, 4)
    Follower(run, first.open, target="here").deliver_all("preempted")
    Follower(run, second.open, target="there").deliver_all("completed")
    assert second.states == [None]
    assert second.rows == [0, 1, 2, 3]


def test_a_journal_that_lost_its_end_is_delivered_again(run):
    shelf = Shelf()
    write_rows(run, 0, 4)
    Follower(run, shelf.open).deliver_all("failed")
    lines = run.directory.journal.read_text().splitlines(keepends=True)
    run.directory.journal.write_text("".join(lines[:2]))
    write_rows(run, 2, 3)
    Follower(run, shelf.open).deliver_all("completed")
    assert shelf.rows == [0, 1, 2]


def test_a_broken_sink_is_one_warning_and_gets_all_when_it_is_whole_again(run, quick, caplog):
    shelf = Shelf()
    shelf.fails = True
    tracker = FollowingTracker(shelf.open)
    tracker.start(run)
    write_rows(run, 0, 3)
    wait_until(lambda: "the shelf is full" in caplog.text, seconds=10)
    shelf.fails = False
    wait_until(lambda: shelf.rows == [0, 1, 2], seconds=10)
    shelf.fails = True
    write_rows(run, 3, 4)
    tracker.finish("completed")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "trackers.shelf lacks values of this run (OSError: the shelf is full)" in caplog.text


def test_a_sink_that_hangs_lets_the_run_end(run, quick, caplog, monkeypatch):
    monkeypatch.setattr(following, "SECONDS_AT_END", 0.1)
    shelf = Shelf()
    monkeypatch.setattr(shelf, "write", lambda rows: time.sleep(2))
    tracker = FollowingTracker(shelf.open)
    tracker.start(run)
    write_rows(run, 0, 3)
    started = time.monotonic()
    tracker.finish("completed")
    assert time.monotonic() - started < 1.0
    assert "did not take all within 0.1 s" in caplog.text


def test_following_draws_no_random_number(run):
    before = random.getstate()
    tracker = FollowingTracker(Shelf().open)
    tracker.start(run)
    write_rows(run, 0, 3)
    tracker.finish("completed")
    assert random.getstate() == before

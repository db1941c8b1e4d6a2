"""The mirror of a sweep, round by round, on a store that only takes notes."""

from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from runner.run.status import Status, write_status
from runner.trackers.delivery.lock import DeliveryLock
from runner.trackers.delivery.messages import PARENT_DIED, Ending, Told
from runner.trackers.mlflow.handover import Handover, handover_path, write_handover
from runner.trackers.mlflow.order import Order
from runner.trackers.mlflow.store import StoredRun
from runner.trackers.mlflow.sweep_process import SweepMirror
from tests.trackers.mlflow.world import tracked_run, write_rows

URI = "http://server"


class FakeStore:
    """Notes the runs, how many rows each has, its tags and its state."""

    def __init__(self):
        self.rows = {}
        self.states = {}
        self.tags = {}
        self.is_down = False

    def open_experiment(self, name, *, artifact_location):
        if self.is_down:
            raise ConnectionError("down")
        return "1"

    def find_run(self, mark):
        return StoredRun(id=mark.run_id, parameters={})

    def create_run(self, mark, *, name, started_ms, tags):
        self.rows[name], self.states[name], self.tags[name] = 0, "RUNNING", tags
        return name

    def set_running(self, run_id):
        self.states[run_id] = "RUNNING"

    def known_steps(self, run_id):
        return {}

    def log(self, run_id, rows, **more):
        if self.is_down:
            raise ConnectionError("down")
        self.rows[run_id] += len(rows)

    def log_file(self, run_id, file, *, folder): ...

    def log_summary(self, run_id, summary, *, at_ms): ...

    def set_state(self, run_id, state, *, at_ms=0):
        self.states[run_id] = state


class FakeInbox:
    def __init__(self):
        self.told = []
        self.is_over = False

    def take(self):
        told, self.told = self.told, []
        return told


class World:
    def __init__(self, path: Path):
        self.path = path
        self.store = FakeStore()
        self.inbox = FakeInbox()
        self.lock = DeliveryLock(RunDirectory(path).tracker("mlflow"))
        self.lock.acquire()
        order = self._order(path, URI)
        self.mirror = SweepMirror(order, lambda: self.store, self.inbox, self.lock)

    def job(self, name: str, *, rows=3, uri=URI, **handover) -> RunDirectory:
        """Let a run begin, with `rows` rows."""
        run = tracked_run(self.path / name)
        write_rows(run, 0, rows)
        order = self._order(run.directory.path, uri)
        write_handover(run.directory, Handover(order=order, **handover))
        self.tell(name)
        return run.directory

    def tell(self, name: str, state: str | None = None) -> None:
        self.inbox.told.append(Told(directory=str(self.path / name), state=state))

    def deliver(self) -> None:
        assert self.mirror.has_news()
        self.mirror.deliver_rows()

    def _order(self, path: Path, uri: str) -> Order:
        return Order(
            directory=str(path),
            name=path.name,
            uri=uri,
            written=uri,
            experiment="plates",
            artifact_location=None,
            started_ms=1,
        )


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "sweep")
    yield world
    world.lock.release()
    for run in world.mirror._runs.values():
        run.close()


def test_rows_of_runs_that_go_on_arrive_beside_them(world):
    first, second = world.job("0"), world.job("1", rows=5)
    world.deliver()
    assert world.store.rows == {"sweep": 0, "0": 3, "1": 5}
    assert world.store.tags["0"]["mlflow.parentRunId"] == "sweep"
    write_rows(tracked_run(first.path), 3, 7)
    world.deliver()
    assert world.store.rows == {"sweep": 0, "0": 7, "1": 5}
    assert set(world.store.states.values()) == {"RUNNING"}
    world.tell("1", "failed")
    world.deliver()
    assert world.store.states == {"sweep": "RUNNING", "0": "RUNNING", "1": "FAILED"}
    assert second.path.exists()


def test_a_run_that_did_not_begin_shows_the_sweep_alone(world):
    world.tell("0")
    world.deliver()
    assert world.store.states == {"sweep": "RUNNING"}
    world.tell("0", "failed")
    world.deliver()
    assert not world.mirror.has_news()


def test_a_run_that_cannot_be_read_does_not_stop_the_others(world):
    damaged = world.job("0")
    handover_path(damaged).write_text("{")
    world.job("1")
    world.tell("0", "failed")
    with pytest.raises(ValueError, match="is damaged"):
        world.deliver()
    world.job("2")
    with pytest.raises(ValueError, match="is damaged"):
        world.deliver()
    assert world.store.rows["1"] == 3
    for name in ("1", "2"):
        world.tell(name, "completed")
    for _ in range(2):  # once the damaged one is the first, once the last
        with pytest.raises(ValueError, match="is damaged"):
            world.mirror.deliver_all(Ending(state="completed", seconds=1.0))
    states = world.store.states
    assert states == {"sweep": "FINISHED", "1": "FINISHED", "2": "FINISHED"}


def test_after_a_failure_nothing_is_delivered_twice(world):
    world.job("0")
    world.store.is_down = True
    with pytest.raises(ConnectionError):
        world.deliver()
    world.store.is_down = False
    world.deliver()
    world.deliver()
    assert world.store.rows == {"sweep": 0, "0": 3}


def test_a_run_of_another_server_is_left_alone(world):
    world.job("0", uri="http://other")
    world.tell("0", "completed")
    world.deliver()
    assert "0" not in world.store.rows


def test_a_run_that_is_tried_again_runs_again(world):
    directory = world.job("0", state="failed")
    world.tell("0", "failed")
    world.deliver()
    assert world.store.states["0"] == "FAILED"
    write_rows(tracked_run(directory.path), 3, 4)
    world.tell("0")
    world.deliver()
    assert (world.store.rows["0"], world.store.states["0"]) == (4, "RUNNING")


def test_while_another_delivers_a_run_it_is_left_alone(world):
    directory = world.job("0")
    other = DeliveryLock(directory.tracker("mlflow"))
    other.acquire()
    with pytest.raises(Exception, match="another delivery"):
        world.deliver()
    other.release()
    world.deliver()
    assert world.store.rows["0"] == 3


def test_a_round_ends_when_the_sweep_does(world):
    world.job("0")
    world.inbox.is_over = True
    world.deliver()
    assert "0" not in world.store.rows


def test_runs_that_nobody_told_of_are_asked_themselves(world):
    for name, state in (("0", "completed"), ("1", "preempted")):
        write_status(world.job(name).status, Status(state=state))
    world.tell("2")
    world.mirror.deliver_all(Ending(state=PARENT_DIED, seconds=1.0))
    assert world.store.states == {"sweep": "KILLED", "0": "FINISHED", "1": "KILLED"}

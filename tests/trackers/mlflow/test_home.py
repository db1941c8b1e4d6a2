"""Moved, a run goes on in its MLflow run; a copy beside the original gets one of its own."""

import logging
import shutil
from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from runner.trackers.delivery.messages import Ending
from runner.trackers.mlflow import late
from runner.trackers.mlflow.delivery import Delivery
from runner.trackers.mlflow.home import original_of
from runner.trackers.mlflow.mark import MarkFile
from tests.trackers.mlflow.fake_store import FakeStore, order_of, values_of
from tests.trackers.mlflow.world import tracked_run, write_rows


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


def go_on(path: Path, store: FakeStore, *, to: int) -> None:
    """Do a job of the run in `path` that ends at step `to`."""
    run = tracked_run(path)
    journal = run.directory.journal
    write_rows(run, len(journal.read_text().splitlines()) if journal.exists() else 0, to)
    deliver(path, store)


def deliver(path: Path, store: FakeStore) -> None:
    ending = Ending(state="preempted", seconds=1.0)
    Delivery(order_of(tracked_run(path)), lambda: store).deliver_all(ending)


def mark_of(path: Path):
    return MarkFile(RunDirectory(path).tracker("mlflow")).load("http://server")


def test_copies_beside_the_original_get_runs_of_their_own(
    tmp_path: Path, store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    original = tmp_path / "run"
    go_on(original, store, to=4)
    copies = [tmp_path / "copy1", tmp_path / "copy2"]
    for copy in copies:
        shutil.copytree(original, copy)
    for copy in copies:
        with caplog.at_level(logging.WARNING):
            go_on(copy, store, to=6)
        assert f"this is a copy of {original}, which is there too" in caplog.messages[-1]
    go_on(original, store, to=7)
    go_on(copies[0], store, to=8)  # the copy goes on in its own
    assert dict(store.values) == {
        "run_0": values_of(7),
        "run_1": values_of(8),
        "run_2": values_of(6),
    }
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("how", ["renamed", "carried elsewhere", "the same under another path"])
def test_a_moved_run_goes_on_in_its_own(tmp_path: Path, store: FakeStore, how: str) -> None:
    path, moved = tmp_path / "run", tmp_path / "moved"
    go_on(path, store, to=4)
    if how == "renamed":
        path.rename(moved)
    elif how == "carried elsewhere":
        shutil.copytree(path, moved)
        shutil.rmtree(path)
    else:
        moved.symlink_to(path)
    go_on(moved, store, to=6)
    go_on(moved, store, to=8)
    assert dict(store.values) == {"run_0": values_of(8)}
    if how == "the same under another path":
        go_on(path, store, to=9)
        assert dict(store.values) == {"run_0": values_of(9)}


def test_of_two_copies_without_their_original_one_goes_on(tmp_path: Path, store: FakeStore) -> None:
    path = tmp_path / "run"
    go_on(path, store, to=4)
    copies = [shutil.copytree(path, tmp_path / name) for name in ("first", "second")]
    shutil.rmtree(path)
    for copy in (*copies, *copies):
        go_on(copy, store, to=6)
        go_on(copy, store, to=8)
    assert dict(store.values) == {"run_0": values_of(8), "run_1": values_of(8)}


def test_an_original_that_a_copy_could_not_see_is_not_mixed_with_it(
    tmp_path: Path, store: FakeStore
) -> None:
    path, copy, away = tmp_path / "run", tmp_path / "copy", tmp_path / "away"
    go_on(path, store, to=4)
    shutil.copytree(path, copy)
    path.rename(away)  # as on another machine
    go_on(copy, store, to=6)
    away.rename(path)
    go_on(path, store, to=7)
    go_on(copy, store, to=8)
    assert dict(store.values) == {"run_0": values_of(8), "run_1": values_of(7)}


def test_a_kill_while_a_moved_run_is_taken_loses_nothing(
    tmp_path: Path, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    go_on(path, store, to=4)
    path.rename(tmp_path / "moved")
    with monkeypatch.context() as patched:

        def killed(run_id: str) -> None:
            raise KeyboardInterrupt

        patched.setattr(store, "set_running", killed)  # the word is on the run, and not in the mark
        with pytest.raises(KeyboardInterrupt):
            go_on(tmp_path / "moved", store, to=6)
    assert mark_of(tmp_path / "moved").claim is not None
    deliver(tmp_path / "moved", store)
    assert dict(store.values) == {"run_0": values_of(6)}
    assert mark_of(tmp_path / "moved").claim is None


def test_a_mark_of_an_earlier_runner_has_no_home_and_goes_on(
    tmp_path: Path, store: FakeStore
) -> None:
    path = tmp_path / "run"
    go_on(path, store, to=4)
    mark = mark_of(path)
    mark.path = mark.inode = None
    MarkFile(RunDirectory(path).tracker("mlflow")).save("http://server", mark)
    copy = shutil.copytree(path, tmp_path / "copy")
    go_on(path, store, to=6)
    go_on(copy, store, to=6)
    assert dict(store.values) == {"run_0": values_of(6), "run_1": values_of(6)}


def test_what_stands_in_the_place_of_the_original_is_no_original(
    tmp_path: Path, store: FakeStore
) -> None:
    path, moved = tmp_path / "run", tmp_path / "moved"
    go_on(path, store, to=4)
    path.rename(moved)
    go_on(path, store, to=2)  # another run under the old name
    assert original_of(mark_of(moved), RunDirectory(moved), "http://server") is None
    go_on(moved, store, to=6)
    assert dict(store.values) == {"run_0": values_of(6), "run_1": values_of(2)}


def test_sync_tells_of_a_copy(
    tmp_path: Path, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Child:
        def __init__(self, *_: object) -> None: ...

        def finish(self, ending: Ending) -> bool:
            Delivery(order_of(run), lambda: store).deliver_all(ending)
            return True

    monkeypatch.setattr(late, "DeliveryChild", Child)
    original = tmp_path / "run"
    go_on(original, store, to=4)
    run = tracked_run(shutil.copytree(original, tmp_path / "copy"))
    write_rows(run, 4, 6)
    synced = late.sync_run(order_of(run), "preempted", [], seconds=1.0)
    assert synced.note.endswith(f"it is a copy of {original}, and has an MLflow run of its own")
    assert store.values["run_1"] == values_of(6)
    assert late.sync_run(order_of(run), "preempted", [], seconds=1.0).note == ""

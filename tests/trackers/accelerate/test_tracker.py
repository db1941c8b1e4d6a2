import time
from dataclasses import replace

import pytest

from runner.errors import ConfigError
from runner.trackers.accelerate.tracker import AccelerateTracker
from runner.trackers.delivery.lock import DeliveryLock
from tests.trackers.mlflow.world import tracked_run, wait_until, write_rows

pytest.importorskip("accelerate")
pytest.importorskip("tensorboard")


def test_all_of_a_run_of_two_jobs_arrives_by_a_process_of_its_own(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("WORLD_SIZE", "2")  # a rank of ours is none of accelerate's
    monkeypatch.setenv("RANK", "0")
    run = tracked_run(tmp_path / "run", tracker="board", parameters={"optimizer": {"lr": 0.5}})
    for first in (0, 3):
        tracker = AccelerateTracker(
            log_with="tensorboard",
            logging_dir=str(tmp_path / "logs"),
            init_kwargs={"filename_suffix": ".ours"},
        )
        started = time.perf_counter()
        tracker.start(run)
        assert time.perf_counter() - started < 0.5
        write_rows(run, first, first + 3)
        tracker.finish("completed")
    folder = tmp_path / "logs" / "run"
    scalars = EventAccumulator(str(folder)).Reload().Scalars("train/value_1")
    assert [(event.step, event.value) for event in scalars] == [(n, n + 0.125) for n in range(6)]
    assert len(list(folder.glob("*.ours"))) == 2, "init_kwargs reach the service"
    (hparams,) = folder.rglob("hparams.yml")
    assert "optimizer.lr: 0.5" in hparams.read_text()


@pytest.mark.parametrize(
    ("log_with", "told"),
    [("wandb", "pip install wandb"), ("wanb", "trackers.accelerate.log_with must be")],
)
def test_a_service_that_is_not_there_is_told_at_once(log_with, told):
    with pytest.raises(ConfigError, match=told):
        AccelerateTracker(log_with=log_with)


def test_a_broken_service_is_one_warning(tmp_path, caplog):
    run = replace(tracked_run(tmp_path / "run"), tracker="broken")
    tracker = AccelerateTracker(
        log_with="tensorboard",
        init_kwargs={"no_such_argument": 1},
        finish_timeout_seconds=2.0,
    )
    tracker.start(run)
    write_rows(run, 0, 3)
    tracker.finish("completed")
    (record,) = caplog.records
    assert "did not take all of this run within 2 s" in record.getMessage()


def test_a_process_that_cannot_start_is_one_warning(tmp_path, caplog, monkeypatch):
    def refuse(*_):
        raise OSError("no more processes")

    monkeypatch.setattr("runner.trackers.accelerate.tracker.start_process", refuse)
    tracker = AccelerateTracker(log_with="tensorboard")
    tracker.start(tracked_run(tmp_path / "run"))
    tracker.finish("completed")
    (record,) = caplog.records
    assert "no more processes" in record.getMessage()


def test_one_delivery_at_a_time_serves_a_run(tmp_path):
    """The one of a killed job may still be at work when the run is resumed."""
    run = tracked_run(tmp_path / "run", tracker="board")
    tracker = AccelerateTracker(log_with="tensorboard")
    tracker.start(run)
    lock = DeliveryLock(run.directory.tracker("board"))

    def is_held() -> bool:
        if not lock.try_acquire():
            return True
        lock.release()
        return False

    wait_until(is_held, seconds=20)
    time.sleep(0.2)
    assert is_held()
    tracker.finish("completed")
    assert not is_held()

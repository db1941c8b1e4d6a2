import random

import pytest

from runner.errors import ConfigError
from runner.trackers import packages
from runner.trackers.tensorboard import TensorBoardTracker
from tests.trackers.mlflow.world import START, tracked_run, write_rows

pytest.importorskip("tensorboard")


@pytest.fixture
def run(tmp_path):
    return tracked_run(
        tmp_path / "outputs" / "plates" / "first",
        tracker="tensorboard",
        parameters={"optimizer": {"lr": 0.5}, "list": [1, 2], "none": None, "flag": True},
        tags={"runner.id": "abc", "team": "ocr"},
    )


def deliver(run, state="completed", **arguments):
    tracker = TensorBoardTracker(**arguments)
    tracker.start(run)
    tracker.finish(state)


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    return accumulator.Reload()


def scalars(folder, name="train/value_1"):
    return [(e.step, e.wall_time, e.value) for e in events(folder).Scalars(name)]


def expected(count):
    return [(step, START + step, step + 0.125) for step in range(count)]


def hparams(folder, tag="_hparams_/session_start_info"):
    from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

    metadata = events(folder).SummaryMetadata(tag)
    return parse_session_start_info_plugin_data(metadata.plugin_data.content)


def test_values_parameters_and_tags_arrive(run):
    write_rows(run, 0, 4)
    deliver(run)
    folder = run.directory.tensorboard
    assert scalars(folder) == expected(4)
    told = hparams(folder).hparams
    assert told["optimizer.lr"].number_value == 0.5
    assert told["flag"].bool_value is True
    assert told["list"].string_value == "[1, 2]"
    (tag,) = events(folder).Tensors("tags/team")
    assert tag.tensor_proto.string_val == [b"ocr"]
    (config,) = events(folder).Tensors("config")
    assert b'"lr": 0.5' in config.tensor_proto.string_val[0]


def test_a_run_of_several_jobs_is_one_file_with_each_value_once(run):
    for first in (0, 3):
        write_rows(run, first, first + 3)
        deliver(run, "preempted")
    (file,) = run.directory.tensorboard.iterdir()
    assert scalars(file) == expected(6)
    assert len(events(file).Tensors("config")) == 1


def test_what_a_kill_left_behind_the_mark_is_written_again_byte_for_byte(run):
    write_rows(run, 0, 3)
    tracker = TensorBoardTracker()
    follower = _follower_of(tracker, run)
    follower.deliver_rows()
    write_rows(run, 3, 6)
    follower._save_mark = lambda sink: None  # killed before the mark is written
    follower.deliver_rows()
    (file,) = run.directory.tensorboard.iterdir()
    killed = file.read_bytes()
    file.write_bytes(killed + b"half an ev")
    deliver(run)
    assert file.read_bytes().startswith(killed)
    assert scalars(file) == expected(6)


def test_a_file_that_lost_its_end_is_made_anew(run):
    write_rows(run, 0, 3)
    deliver(run)
    (file,) = run.directory.tensorboard.iterdir()
    file.write_bytes(file.read_bytes()[:-50])
    write_rows(run, 3, 5)
    deliver(run)
    assert len(list(run.directory.tensorboard.iterdir())) == 1
    assert scalars(run.directory.tensorboard) == expected(5)


def test_parameters_that_a_resume_changed_are_told_again(run):
    from dataclasses import replace

    write_rows(run, 0, 3)
    deliver(run)
    deliver(replace(run, parameters={"trainer": {"max_steps": 9}}))
    config = events(run.directory.tensorboard).Tensors("config")
    assert [event.step for event in config] == [0, 2]


def test_runs_share_a_logging_dir_without_mixing(run, tmp_path):
    other = tracked_run(
        tmp_path / "outputs" / "plates" / "sweeps" / "lr" / "first", tracker="tensorboard"
    )
    for one in (run, other):
        write_rows(one, 0, 3)
        deliver(one, logging_dir=str(tmp_path / "logs"))
    assert scalars(tmp_path / "logs" / "plates" / "first") == expected(3)
    assert scalars(tmp_path / "logs" / "plates" / "lr" / "first") == expected(3)


def test_it_draws_no_random_number(run):
    write_rows(run, 0, 3)
    before = random.getstate()
    deliver(run)
    assert random.getstate() == before


def test_without_the_package_the_command_that_helps_is_told(monkeypatch):
    monkeypatch.setattr(packages, "sys", type("sys", (), {"modules": {}}))
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'runner\[tensorboard\]'"):
        TensorBoardTracker()


def _follower_of(tracker, run):
    from runner.trackers.follower import Follower

    return Follower(run, tracker._open_sink)

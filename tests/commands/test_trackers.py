"""Trackers in whole runs: several at once, over a stop and a resume, and in the jobs of a sweep."""

import csv
from pathlib import Path

import pytest

from runner.build.from_config import build_trackers
from runner.config.compose import compose
from runner.config.validate import validate
from runner.errors import Interrupted
from runner.run.journal import read_journal
from runner.trackers.csv_file import CSVTracker
from runner.trackers.tensorboard import TensorBoardTracker
from tests.commands.command import call
from tests.facade.test_trainer import trainer
from tests.training.harness import StopAt

pytest.importorskip("tensorboard")


def told_by_journal(path: Path) -> list[tuple[int, str]]:
    rows = read_journal(path / "metrics.jsonl")
    return [(row.step, f"{row.split}/{name}") for row in rows for name in row.values]


def told_by_csv(path: Path) -> list[tuple[int, str]]:
    with (path / "metrics.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    return [
        (int(line["step"]), f"{line['split']}/{name}")
        for line in lines
        for name in list(line)[4:]
        if line[name] != ""
    ]


def told_by_tensorboard(folder: Path) -> list[tuple[int, str]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return [
        (event.step, name) for name in events.Tags()["scalars"] for event in events.Scalars(name)
    ]


def test_every_mirror_has_what_the_journal_has_after_a_stop_and_a_resume(tmp_path: Path) -> None:
    mirrors = {"csv": CSVTracker(), "tensorboard": TensorBoardTracker()}
    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        trainer(path, callbacks={"stop": StopAt(5)}, trackers=mirrors).fit()
    assert sorted(told_by_csv(path)) == sorted(told_by_journal(path))
    trainer(path, trackers=mirrors).fit()
    told = sorted(told_by_journal(path))
    assert len(told) > 20
    assert sorted(told_by_csv(path)) == told
    assert sorted(told_by_tensorboard(path / "tensorboard")) == told


def test_several_members_of_the_group_stand_side_by_side() -> None:
    config = validate(compose(["trackers=[csv,tensorboard,mlflow]", "name=plates"]))
    trackers = build_trackers(config)
    assert list(trackers) == ["csv", "tensorboard", "mlflow"]
    assert isinstance(trackers["tensorboard"], TensorBoardTracker)


def test_a_package_that_is_missing_is_told_before_anything_begins(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    done = call("+experiment=digits", "trackers=accelerate", "callbacks=none", cwd=tmp_path)
    assert done.returncode == 2
    assert "log_with=wandb needs wandb, which is not there: pip install wandb" in done.stderr
    assert list(tmp_path.rglob("status.json")) == []
    done = call("check", "+experiment=digits", "trackers=accelerate", cwd=tmp_path)
    assert done.returncode == 2
    assert "pip install wandb" in done.stdout + done.stderr


@pytest.mark.slow
def test_each_job_of_a_sweep_has_its_own(tmp_path: Path) -> None:
    small = ("trainer.max_epochs=1", "callbacks=none", "trackers=[mlflow,csv,tensorboard]")
    board = ("trackers.tensorboard.logging_dir=boards", "sweep.name=seeds")
    done = call("-m", "+experiment=digits", "seed=1,2", *small, *board, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for number in ("0", "1"):
        path = tmp_path / "outputs" / "digits" / "sweeps" / "seeds" / number
        told = sorted(told_by_journal(path))
        assert sorted(told_by_csv(path)) == told
        board = tmp_path / "boards" / "digits" / "seeds" / number
        assert sorted(told_by_tensorboard(board)) == told
    assert (tmp_path / "outputs" / "mlflow.db").exists()

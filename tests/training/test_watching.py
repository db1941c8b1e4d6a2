"""What callbacks may do besides watching: rows of their own; and when they hear of an epoch."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from runner.errors import Interrupted
from runner.run.bystander import ClosedJournal
from runner.run.journal import read_journal
from runner.training.callback import Callback, Fit
from runner.training.events import CallbackError
from runner.training.progress import Progress
from runner.training.recorder import Recorder
from tests.training.harness import StopAt, journal_of, tiny_options, train


class Recording(Callback):
    """Writes a row at every so many steps, as a clock might."""

    def __init__(self, split: str = "mine", *, every: int = 3, value: float = 0.0) -> None:
        self._split = split
        self._every = every
        self._value = value

    def on_step_end(self, fit: Fit) -> None:
        if fit.progress.step % self._every == 0:
            fit.record(self._split, {"value": self._value})


class Epochs(Callback):
    def __init__(self) -> None:
        self.told: list[tuple[int, int, float, float]] = []

    def on_epoch_end(self, fit: Fit, values: Any) -> None:
        loss, trained = values["evaluation.loss"], values["train.loss"]
        self.told.append((fit.progress.step, fit.progress.epoch, loss, trained))


def rows_of(path: Path, split: str) -> list[tuple[int, float]]:
    rows = read_journal(path / "metrics.jsonl")
    return [(row.step, row.values["value"]) for row in rows if row.split == split]


def test_the_first_written_rows_stand_when_steps_run_again(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path, tiny_options(), callbacks={"r": Recording(), "stop": StopAt(8)})
    assert rows_of(tmp_path, "mine") == [(3, 0.0), (6, 0.0)]
    shutil.rmtree(tmp_path / "checkpoints")  # as after a kill before any was there
    train(tmp_path, tiny_options(), callbacks={"r": Recording(every=4, value=1.0)})
    assert rows_of(tmp_path, "mine") == [(3, 0.0), (6, 0.0), (8, 1.0), (12, 1.0), (16, 1.0)]


@pytest.mark.parametrize("split", ["train", "evaluation", "test", "speed"])
def test_rows_of_training_itself_are_refused(tmp_path: Path, split: str) -> None:
    with pytest.raises(CallbackError, match=f"rows of '{split}' are training's own"):
        train(tmp_path, tiny_options(), callbacks={"r": Recording(split)})


def test_a_row_of_a_callback_changes_no_other(tmp_path: Path) -> None:
    train(tmp_path / "without", tiny_options())
    train(tmp_path / "with", tiny_options(), callbacks={"r": Recording()})
    others = [row for row in journal_of(tmp_path / "with") if row[2] != "mine"]
    assert others == journal_of(tmp_path / "without")


@pytest.mark.parametrize("stop", [None, 6, 7, "evaluation"])
def test_each_epoch_is_told_once_after_its_evaluation(tmp_path: Path, stop: Any) -> None:
    """A stop at the last step of an epoch, behind it, or in the evaluation at its end."""
    straight, watch = Epochs(), Epochs()
    train(tmp_path / "straight", tiny_options(), callbacks={"epochs": straight})
    assert [(step, epoch) for step, epoch, *_ in straight.told] == [(6, 1), (12, 2), (18, 3)]
    if stop is not None:
        at = StopAt(6, in_evaluation=True) if stop == "evaluation" else StopAt(stop)
        with pytest.raises(Interrupted):
            train(tmp_path / "cut", tiny_options(), callbacks={"epochs": watch, "stop": at})
    train(tmp_path / "cut", tiny_options(), callbacks={"epochs": watch})
    assert watch.told == straight.told


def test_a_checkpoint_from_before_epochs_were_told_is_read() -> None:
    state = Progress(step=12, epoch=2).state_dict()
    del state["told_epochs"]
    progress = Progress()
    progress.load_state_dict(state)
    assert progress.told_epochs == 2


def test_a_rank_that_writes_nothing_records_nothing() -> None:
    heard: list[Any] = []
    recorder = Recorder(ClosedJournal(has_rows=False), Progress(step=3), heard.append)
    recorder.record_watched("mine", {"value": 1.0})
    assert heard == []

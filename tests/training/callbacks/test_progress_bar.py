import io
import sys
import time

import pytest
from torch import nn

from runner.config.options import TrainerOptions
from runner.errors import ConfigError
from runner.run.directory import RunDirectory
from runner.run.journal import Row
from runner.runtime.ranks import Ranks
from runner.tasks.classification import Classification
from runner.tasks.task import Predictions
from runner.training.callback import Fit
from runner.training.callbacks import console_view, progress_bar
from runner.training.callbacks.progress_bar import ProgressBar
from runner.training.progress import Progress

PREDICTIONS = Predictions(["a"], [1.0])


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def fit(tmp_path):
    return Fit(
        directory=RunDirectory(tmp_path),
        model=nn.Identity(),
        task=Classification(num_classes=2),
        options=TrainerOptions(),
        progress=Progress(batches_per_epoch=50),
        planned_steps=100,
    )


def train(bar, fit, steps):
    for _ in range(steps):
        fit.progress.step += 1
        fit.progress.batch += 1
        bar.on_step_end(fit)


def log(bar, fit):
    step, epoch = fit.progress.step, fit.progress.fractional_epoch
    speed = {"samples_per_second": 1234.5, "data_wait_share": 0.051}
    bar.on_log(fit, Row(step, epoch, 0.0, "speed", speed))
    bar.on_log(fit, Row(step, epoch, 0.0, "train", {"loss": 0.123456, "lr": 1e-3}))


def evaluate(bar, fit, batches=3):
    bar.on_evaluation_start(fit, "evaluation", batches)
    for _ in range(batches):
        bar.on_evaluation_batch(fit, "evaluation", {}, PREDICTIONS)
    bar.on_evaluation_end(fit, "evaluation", {"loss": 0.5, "cer": 0.01})


def show(stream, fit, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress_bar, "SECONDS_BETWEEN_UPDATES", 0.0)
    bar = ProgressBar()
    bar.on_fit_start(fit)
    train(bar, fit, 25)
    log(bar, fit)
    evaluate(bar, fit)
    bar.on_fit_end(fit, "completed")
    return stream.getvalue()


def test_without_a_terminal_there_is_a_plain_line_for_each_row(fit, monkeypatch):
    lines = show(io.StringIO(), fit, monkeypatch).splitlines()
    facts = "step=25/100 epoch=0.50 loss=0.1235 average=0.1235 samples/s=1234 wait=5% left=0:0"
    assert lines[0].startswith(facts)
    best = "best=evaluation.loss:0.5@25"
    assert lines[1:] == [f"step=25 evaluation.loss=0.5 evaluation.cer=0.01 {best}"]


@pytest.mark.parametrize("columns", ["80", "100", "160"])
def test_on_a_terminal_there_is_a_bar_with_the_same_facts(fit, monkeypatch, columns):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", columns)
    text = show(Terminal(), fit, monkeypatch)
    facts = ("train", "25/100", "0.1235", "1234", "5%", "2/3 batches", "cer", "best")
    for fact in facts:
        assert fact in text
    assert ("average" in text) == (columns != "80")


def test_a_run_bounded_by_time_alone_shows_no_time_left(fit, monkeypatch):
    fit.planned_steps = None
    first = show(io.StringIO(), fit, monkeypatch).splitlines()[0]
    assert first == "step=25 epoch=0.50 loss=0.1235 average=0.1235 samples/s=1234 wait=5%"


def test_other_ranks_show_nothing(fit, monkeypatch):
    fit.ranks = Ranks(rank=1, count=2)
    assert show(io.StringIO(), fit, monkeypatch) == ""


def test_a_step_costs_less_than_three_microseconds(fit, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = ProgressBar()
    bar.on_fit_start(fit)
    costs = []
    for _ in range(20):
        started = time.perf_counter()
        for _ in range(1000):
            bar.on_step_end(fit)
        costs.append((time.perf_counter() - started) / 1000)
    assert min(costs) < 3e-6


def test_the_best_score_is_the_one_before_until_a_better_one_comes(fit, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    bar = ProgressBar()
    bar.on_fit_start(fit)
    fit.best.update(0.25, step=10, counts=True)
    fit.progress.step = 20
    for loss in (0.5, float("nan"), 0.125):
        bar.on_evaluation_end(fit, "evaluation", {"loss": loss})
    bar.on_evaluation_end(fit, "test", {"loss": 0.0})
    told = [line.rpartition("best=evaluation.loss:")[2] for line in stream.getvalue().splitlines()]
    assert told == ["0.25@10", "0.25@10", "0.125@20", "0.25@10"]


def test_the_average_follows_the_loss_and_forgets_its_beginning(fit, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    bar = ProgressBar(smoothing=0.5)
    bar.on_fit_start(fit)
    for step, loss in ((1, 4.0), (2, 1.0), (12, 3.0)):
        fit.progress.step = step
        bar.on_log(fit, Row(step, 0.0, 0.0, "train", {"loss": loss}))
    told = [line.split()[3] for line in stream.getvalue().splitlines()]
    assert told == ["average=4", "average=2", "average=2.999"]


def test_without_smoothing_there_is_no_average(fit, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    bar = ProgressBar(smoothing=0)
    bar.on_fit_start(fit)
    log(bar, fit)
    assert "average" not in stream.getvalue()
    with pytest.raises(ConfigError, match="smoothing must be from 0 to below 1"):
        ProgressBar(smoothing=1.0)


def test_without_logged_rows_there_is_progress_all_the_same(fit, monkeypatch):
    monkeypatch.setattr(progress_bar, "SECONDS_BETWEEN_UPDATES", 0.0)
    monkeypatch.setattr(console_view, "SECONDS_OF_SILENCE", -1.0)
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    bar = ProgressBar()
    bar.on_fit_start(fit)
    train(bar, fit, 2)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("step=1/100 epoch=0.02 left=")
    assert len(lines) == 2
    monkeypatch.setattr(console_view, "SECONDS_OF_SILENCE", 30.0)
    train(bar, fit, 2)
    assert len(stream.getvalue().splitlines()) == 2

import io
import sys
import time

import pytest
from torch import nn

from runner.config.options import TrainerOptions
from runner.run.directory import RunDirectory
from runner.run.journal import Row
from runner.runtime.ranks import Ranks
from runner.tasks.classification import Classification
from runner.tasks.task import Predictions
from runner.training.callback import Fit
from runner.training.callbacks import progress_bar
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
    assert lines[0].startswith("step=25/100 epoch=0.50 loss=0.1235 samples/s=1234 wait=5% left=0:0")
    assert lines[1:] == ["step=25 evaluation.loss=0.5 evaluation.cer=0.01"]


def test_on_a_terminal_there_is_a_bar_with_the_same_facts(fit, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    text = show(Terminal(), fit, monkeypatch)
    for fact in ("train", "25/100", "0.1235", "1234", "5%", "2/3 batches", "cer"):
        assert fact in text


def test_a_run_bounded_by_time_alone_shows_no_time_left(fit, monkeypatch):
    fit.planned_steps = None
    first = show(io.StringIO(), fit, monkeypatch).splitlines()[0]
    assert first == "step=25 epoch=0.50 loss=0.1235 samples/s=1234 wait=5%"


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

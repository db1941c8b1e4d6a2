"""`ProgressBar`: how far training is, on the console."""

import sys
import time

from runner.data.data import Batch
from runner.errors import ConfigError
from runner.run.journal import Row
from runner.tasks.task import Predictions
from runner.training.callback import Callback, Fit
from runner.training.callbacks.console_view import ConsoleView, LineView, Standing, short
from runner.training.callbacks.moving_average import MovingAverage

SECONDS_BETWEEN_UPDATES = 0.25


class ProgressBar(Callback):
    """Shows step, epoch, loss, samples per second, share of waiting for data, time left and scores.

    On a terminal a bar that changes at most four times a second; elsewhere a plain line for each
    row of the journal and for each evaluation. Loss and rate are those of the last row: asking for
    newer ones would make the device wait. Beside the loss stands its moving average, in which each
    step keeps `smoothing` of the weight of those before it (0: no average).
    """

    def __init__(self, *, smoothing: float = 0.98) -> None:
        if not 0 <= smoothing < 1:
            raise ConfigError(f"smoothing must be from 0 to below 1 (0: off), got {smoothing}")
        self._smoothing = smoothing
        self._average = MovingAverage(smoothing)
        self._averaged_step = 0
        self._view: ConsoleView | None = None
        self._standing = Standing()
        self._next_update = 0.0
        self._started = 0.0
        self._first_step = 0
        self._evaluated = 0
        self._num_batches = 0

    def on_fit_start(self, fit: Fit) -> None:
        if not fit.is_main:
            self._next_update = float("inf")
            return
        self._standing = Standing(planned_steps=fit.planned_steps)
        self._started = time.monotonic()
        self._first_step = self._averaged_step = fit.progress.step
        self._average = MovingAverage(self._smoothing)
        self._view = _view(fit.planned_steps)

    def on_step_end(self, fit: Fit) -> None:
        now = time.monotonic()
        if now < self._next_update:
            return
        self._next_update = now + SECONDS_BETWEEN_UPDATES
        if self._view is not None:
            self._look(fit)
            self._view.update(self._standing)

    def on_log(self, fit: Fit, row: Row) -> None:
        if self._view is None:
            return
        if row.split == "speed":
            self._standing.samples_per_second = row.values.get("samples_per_second")
            self._standing.wait_share = row.values.get("data_wait_share")
        elif row.split == "train":
            self._take_loss(row.values.get("loss"), step=row.step)
            self._look(fit)
            self._view.log(self._standing)

    def on_evaluation_start(self, fit: Fit, split: str, num_batches: int) -> None:
        self._evaluated, self._num_batches = 0, num_batches

    def on_evaluation_batch(
        self, fit: Fit, split: str, batch: Batch, predictions: Predictions
    ) -> None:
        self._evaluated += 1
        now = time.monotonic()
        if now < self._next_update or self._view is None:
            return
        self._next_update = now + SECONDS_BETWEEN_UPDATES
        self._view.evaluating(split, done=self._evaluated, total=self._num_batches)

    def on_evaluation_end(self, fit: Fit, split: str, values: dict[str, float]) -> None:
        if self._view is not None:
            self._look(fit)
            self._standing.best = _best_with(fit, split, values)
            self._view.evaluated(split, self._standing, values)

    def on_fit_end(self, fit: Fit, outcome: str) -> None:
        if self._view is not None:
            self._look(fit)
            self._view.update(self._standing)
            self._view.close()
            self._view = None

    def _take_loss(self, loss: float | None, *, step: int) -> None:
        self._standing.loss = loss
        if loss is not None and self._smoothing:
            steps = max(1, step - self._averaged_step)
            self._standing.average = self._average.update(loss, steps=steps)
            self._averaged_step = step

    def _look(self, fit: Fit) -> None:
        """Take step, epoch, the best score and the time left from `fit`."""
        standing, step = self._standing, fit.progress.step
        standing.step, standing.epoch = step, fit.progress.fractional_epoch
        standing.best = _told(fit, fit.best.score, fit.best.step)
        done = step - self._first_step
        if standing.planned_steps is not None and done > 0:
            seconds_a_step = (time.monotonic() - self._started) / done
            standing.seconds_left = seconds_a_step * max(0, standing.planned_steps - step)


def _best_with(fit: Fit, split: str, values: dict[str, float]) -> str:
    """Tell the best score, `values` included, which are judged only after they were shown."""
    best_split, _, name = fit.options.best_metric.partition(".")
    value = values.get(name) if split == best_split else None
    if value is not None and fit.best.is_better(value):
        return _told(fit, value, fit.progress.step)
    return _told(fit, fit.best.score, fit.best.step)


def _told(fit: Fit, score: float | None, step: int | None) -> str:
    return "" if score is None else f"{fit.options.best_metric}:{short(score)}@{step}"


def _view(planned_steps: int | None) -> ConsoleView:
    if not sys.stderr.isatty():
        return LineView(sys.stderr)
    from runner.training.callbacks.rich_view import RichView  # rich, only where it is shown

    return RichView(sys.stderr, planned_steps=planned_steps)

"""The story of a training.

    restore the newest checkpoint
    evaluate at the start, or do what the last job left undone
    until a limit is reached:
        take the micro-batches of one step
        step                        forward, backward, update
        advance                     before saving: the data position must be right
        log?
        evaluate?                   before saving: the best score must be inside
        save?
        stop?
    evaluate at the end, save
    load the best weights, evaluate the test split

Every boundary between two steps is a place where a run can be cut and continued. A stop request is
obeyed at the next one; a running evaluation is given up and done again by the next job.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runner.checkpoint.store import CheckpointStore
from runner.config.duration import parse_optional
from runner.errors import ConfigError, Interrupted, RunError, did_you_mean
from runner.protocols import Stateful
from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row
from runner.runtime.signals import StopRequests
from runner.training.averages import Averages
from runner.training.best import Best
from runner.training.cadence import is_due
from runner.training.callback import Fit
from runner.training.evaluation import Evaluator
from runner.training.events import CallbackError, Events
from runner.training.limits import Limits
from runner.training.parts import Parts
from runner.training.progress import Progress
from runner.training.recorder import Recorder
from runner.training.saving import CALLBACK_PREFIX, Saver
from runner.training.speed import Speedometer
from runner.training.step import TrainingStep

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a training: the best score (of `trainer.best_metric`) and the last values."""

    step: int
    score: float | None
    best_step: int | None
    evaluation: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)


class TrainingLoop:
    """One job's training of one run."""

    def __init__(
        self, parts: Parts, *, directory: RunDirectory, journal: Journal, stop: StopRequests
    ) -> None:
        options = parts.options.trainer
        self._parts = parts
        self._options = options
        self._stop = stop
        self._progress = Progress(batches_per_epoch=len(parts.loaders["train"]))
        self._averages = Averages()
        self._best = Best(
            options.best_mode,
            min_improvement=options.min_improvement,
            keep=parts.options.checkpoint.keep_best,
        )
        self._limits = Limits(options)
        self._can_evaluate = "evaluation" in parts.loaders
        self._evaluate_every = parse_optional(
            options.evaluate_every if self._can_evaluate else None
        )
        self._save_every = parse_optional(parts.options.checkpoint.every)
        self._step = TrainingStep(parts, self._averages)
        self._speed = Speedometer()
        self._batches: Iterator[Any] | None = None
        self._events = Events(parts.callbacks, self._fit_of(directory))
        self._recorder = Recorder(journal, self._progress, self._on_row)
        self._evaluator = Evaluator(parts, recorder=self._recorder, events=self._events, stop=stop)
        self._saver = Saver(
            CheckpointStore(directory.checkpoints),
            model=parts.model,
            state=self._state(),
            identity={"seed": parts.options.seed, "data": parts.data_fingerprint},
            best=self._best,
            options=parts.options.checkpoint,
            sync_journal=self._recorder.sync,
        )
        self._restored_step: int | None = None
        self._test_values: dict[str, float] = {}
        self._evaluation_values: dict[str, float] = {}

    @property
    def result(self) -> Result:
        """Return what has come of the training so far."""
        return Result(
            step=self._progress.step,
            score=self._best.score,
            best_step=self._best.step,
            evaluation=self._evaluation_values,
            test=self._test_values,
        )

    def restore(self) -> None:
        """Go to where the newest checkpoint stands, if any; CheckpointError if it does not fit."""
        self._restored_step = self._saver.restore()
        if self._restored_step is None and self._recorder.has_rows:
            _log.warning("no checkpoint is there: training starts again from step 0")

    def run(self) -> Result:
        """Train until a limit is reached; raise Interrupted, saved, when a stop was asked for."""
        outcome = "failed"
        self._parts.model.train()
        try:
            self._events.tell("on_fit_start")
            self._begin()
            self._train()
            self._finish()
            outcome = "completed"
        except Interrupted:
            outcome = "preempted"
            raise
        except CallbackError:
            self._save()
            raise
        finally:
            self._events.tell_end(outcome)
        return self.result

    def _train(self) -> None:
        while (reason := self._limits.reached(self._progress, self._best)) is None:
            self._speed.resume()
            micro_batches = self._next_micro_batches()
            samples = self._step(micro_batches, step=self._progress.step)
            self._speed.count(samples)
            if self._options.schedule_every == "step":
                self._parts.schedule.step()
            self._progress.advance(batches=len(micro_batches), samples=samples)
            # On a logged step the means wait for the device, which belongs to the training time.
            means = self._averages.means() if self._is_logged_step() else {}
            self._progress.seconds += self._speed.pause()
            if self._options.schedule_every == "epoch" and self._progress.is_epoch_end:
                self._parts.schedule.step()
            is_better = bool(means) and self._log_window(means)
            self._events.tell("on_step_end")
            self._settle(is_better=is_better)
        _log.info("training ended step=%d: %s", self._progress.step, reason)

    def _settle(self, *, is_better: bool = False) -> None:
        """Do what is due at the boundary after a step; after a restart, what was left undone."""
        if is_due(self._evaluate_every, self._progress) and not self._progress.is_evaluated:
            is_better = self._evaluate() or is_better
        seconds = self._saver.seconds_since_save
        if is_better or is_due(self._save_every, self._progress, seconds_since_last=seconds):
            self._save()
        self._obey_stop()

    def _finish(self) -> None:
        self._log_rest()
        wants_evaluation = self._options.evaluate_at_end and self._can_evaluate
        if wants_evaluation and not self._progress.is_evaluated:
            self._evaluate()
        self._save()
        self._obey_stop()
        if self._options.test_at_end and "test" in self._parts.loaders:
            self._test()
            if self._stop.received is not None:  # the best weights are loaded: nothing to save
                raise Interrupted(self._stop.received)

    def _begin(self) -> None:
        if self._restored_step is not None:
            epoch = self._progress.fractional_epoch
            _log.info("resumed step=%d epoch=%s", self._restored_step, epoch)
            self._settle()
        elif self._options.evaluate_at_start and self._can_evaluate:
            self._evaluate()

    def _next_micro_batches(self) -> list[Any]:
        """Return those of the next step; the last step of an epoch may have fewer."""
        progress = self._progress
        if self._batches is None:
            self._batches = self._parts.loaders["train"].batches(
                epoch=progress.epoch, start=progress.batch
            )
        left = progress.batches_per_epoch - progress.batch
        count = min(self._options.gradient_accumulation_steps, left)
        try:
            micro_batches = [self._speed.next_batch(self._batches) for _ in range(count)]
        except RuntimeError:  # a worker was ended by the signal that asks this process to stop
            self._obey_stop()
            raise
        if count == left:
            self._batches = None
        return micro_batches

    def _is_logged_step(self) -> bool:
        every = self._options.log_every_steps
        return every > 0 and self._progress.step % every == 0

    def _log_window(self, means: dict[str, float]) -> bool:
        """Log the means since the last row; return whether they are worth a checkpoint."""
        self._averages.reset()
        values = self._log(means)
        return self._judge("train", values)

    def _log_rest(self) -> None:
        """Log the steps since the last row; the averages stay, for a run that is trained longer."""
        if self._options.log_every_steps and (means := self._averages.means()):
            self._log(means)

    def _log(self, means: dict[str, float]) -> dict[str, float]:
        values = {**means, "lr": self._parts.optimizer.param_groups[0]["lr"]}
        self._recorder.record({"speed": self._speed.take(), "train": values})
        return values

    def _evaluate(self) -> bool:
        """Evaluate, let schedule and patience see the score; return whether it is the best."""
        try:
            values = self._evaluator.values_of("evaluation", step=self._progress.step)
        except Interrupted:  # given up: the next job does it again
            self._save()
            raise
        self._progress.evaluations += 1
        self._progress.evaluated_step = self._progress.step
        self._evaluation_values = values
        is_better = self._judge("evaluation", values)
        if self._options.schedule_every == "evaluation":
            self._parts.schedule.step(values.get(self._options.best_metric.split(".", 1)[1]))
        return is_better

    def _judge(self, split: str, values: dict[str, float]) -> bool:
        prefix, metric = self._options.best_metric.split(".", 1)
        if prefix != split:
            return False
        if metric not in values:
            known = [f"{split}.{name}" for name in values]
            raise ConfigError(
                f"trainer.best_metric={self._options.best_metric} is not measured: there are "
                f"{', '.join(known)}{did_you_mean(metric, values)}"
            )
        counts = self._limits.counts_for_patience(self._progress)
        return self._best.update(values[metric], step=self._progress.step, counts=counts)

    def _test(self) -> None:
        step = self._saver.restore_best_weights()
        if step is None:
            _log.info("testing the last weights: no best checkpoint was kept")
        else:
            _log.info("testing the weights of step=%d", step)
        self._test_values = self._evaluator.values_of("test", step=self._progress.step)

    def _save(self) -> None:
        if self._saver.save(self._progress.step, evaluations=self._progress.evaluations):
            self._events.tell("on_checkpoint", self._progress.step)

    def _obey_stop(self) -> None:
        if self._stop.abandoned is not None:
            raise RunError(self._stop.abandoned)
        if self._stop.received is not None:
            self._save()
            raise Interrupted(self._stop.received)

    def _on_row(self, row: Row) -> None:
        self._events.tell("on_log", row)

    def _state(self) -> dict[str, Stateful]:
        parts = self._parts
        callbacks = {
            f"{CALLBACK_PREFIX}{name}": callback
            for name, callback in parts.callbacks.items()
            if isinstance(callback, Stateful)
        }
        return {
            "progress": self._progress,
            "optimizer": parts.optimizer,
            "schedule": parts.schedule,
            "scaler": parts.precision.scaler,
            "averages": self._averages,
            "best": self._best,
            **callbacks,
        }

    def _fit_of(self, directory: RunDirectory) -> Fit:
        return Fit(
            directory=directory,
            model=self._parts.model,
            task=self._parts.task,
            options=self._options,
            progress=self._progress,
            planned_steps=self._parts.planned_steps,
        )

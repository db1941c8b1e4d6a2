"""The story of a training.

    restore the newest checkpoint
    evaluate at the start, or do what the last job left undone
    until a limit is reached:
        take the micro-batches of one step
        step                        forward, backward, update
        advance                     before saving: the data position must be right
        log?
        stop?                       the ranks agree; saved, and the next job does what is left
        evaluate?                   before saving: the best score must be inside
        tell of the epoch's end?
        prune?                      a search may end here what falls behind its other runs
        save?                       in the background
    evaluate at the end, save
    load the best weights, evaluate the test split

Every boundary between two steps is a place where a run can be cut and continued. A stop request is
obeyed at the next one; a running evaluation is given up and done again by the next job. With
several ranks every one of them tells this story: only what `Ranks` and `Agreement` say may decide.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict

from runner.checkpoint.store import CheckpointStore
from runner.config.duration import parse_optional
from runner.config.size import parse_optional_size
from runner.data.data import in_split
from runner.data.epoch import MicroBatch
from runner.errors import Interrupted, WorkerError
from runner.files import write_json_atomically
from runner.optim.optimizers import by_name
from runner.protocols import Stateful
from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row
from runner.runtime.signals import StopRequests
from runner.training.agreement import Agreement
from runner.training.averages import Averages
from runner.training.best import Best
from runner.training.cadence import is_due
from runner.training.callback import Fit
from runner.training.evaluation import Evaluator
from runner.training.events import Events
from runner.training.health import Health
from runner.training.keeping import Keeping
from runner.training.limits import Limits
from runner.training.newest import NewestValues
from runner.training.parts import Parts
from runner.training.position import TrainingData
from runner.training.progress import Progress
from runner.training.recorder import Recorder
from runner.training.restoring import CALLBACK_PREFIX
from runner.training.result import Result
from runner.training.saving import Saver
from runner.training.scores import Scores
from runner.training.speed import Speedometer
from runner.training.stage import Stage
from runner.training.steps import step_for
from runner.training.window import Rows, Window

_log = logging.getLogger(__name__)


class TrainingLoop:
    """One job's training of one run; `beat` is called as a sign of life."""

    def __init__(
        self,
        parts: Parts,
        *,
        directory: RunDirectory,
        journal: Journal,
        stop: StopRequests,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        trainer, checkpoint = parts.options.trainer, parts.options.checkpoint
        self._parts = parts
        self._directory = directory
        self._options = trainer
        self._beat = beat
        self._agreement = Agreement(parts.ranks, stop)
        self._progress = Progress(batches_per_epoch=parts.loaders["train"].num_batches)
        self._averages = Averages(parts.ranks, finite_only=trainer.on_nonfinite == "skip")
        self._best = Best(
            trainer.best_mode,
            min_improvement=trainer.min_improvement,
            keep=checkpoint.keep_best,
        )
        self._limits = Limits(trainer)
        self._scores = Scores(
            trainer, checkpoint, best=self._best, limits=self._limits, progress=self._progress
        )
        self._can_evaluate = bool(in_split(parts.loaders, "evaluation"))
        self._evaluate_every = parse_optional(
            trainer.evaluate_every if self._can_evaluate else None
        )
        self._data = TrainingData(parts.loaders["train"], self._progress)
        self._speed = Speedometer()
        self._step = step_for(
            parts, self._averages, speed=self._speed, between=self._between_batches
        )
        self._recorder = Recorder(journal, self._progress, self._on_row)
        self._fit = self._fit_of(directory)
        self._events = Events(parts.callbacks, self._fit)
        self._newest = NewestValues(is_wanted=self._events.has_listeners("on_epoch_end"))
        self._window = Window(
            self._averages,
            self._speed,
            by_name(parts.optimizer),
            self._recorder,
            every_steps=trainer.log_every_steps,
        )
        self._evaluator = Evaluator(
            parts,
            recorder=self._recorder,
            events=self._events,
            agreement=self._agreement,
            beat=beat,
        )
        self._health = Health(parts, self._averages)
        self._saver = Saver(
            CheckpointStore(
                directory.checkpoints,
                max_shard_bytes=parse_optional_size(checkpoint.max_shard_size),
            ),
            model=parts.model,
            average=parts.average.copy,
            state=self._state(),
            rank_state={"averages": self._averages, "data": self._data},
            identity={"seed": parts.options.seed, "data": parts.data_fingerprint},
            best=self._best,
            options=checkpoint,
            ranks=parts.ranks,
            sync_journal=self._recorder.sync,
            beat=beat,
        )
        self._keeping = Keeping(
            self._saver,
            checkpoint,
            health=self._health,
            progress=self._progress,
            agreement=self._agreement,
            step=self._step,
            ranks=parts.ranks,
        )
        self._restored_step: int | None = None
        self._is_pruned = False
        self._test_values: dict[str, float] = {}
        self._evaluation_values: dict[str, float] = {}

    @property
    def result(self) -> Result:
        """Return what has come of the training so far."""
        return Result(
            step=self._progress.step,
            score=self._best.score,
            best_step=self._best.step,
            is_pruned=self._is_pruned,
            evaluation=self._evaluation_values,
            test=self._test_values,
        )

    def restore(self) -> None:
        """Go to where the newest checkpoint stands, if any; CheckpointError if it does not fit."""
        self._restored_step = self._saver.restore()
        self._health.begin_at(self._progress.step)
        self._newest.read(self._directory.journal, until_step=self._progress.step)
        if self._restored_step is None and self._recorder.has_rows:
            _log.warning("no checkpoint is there: training starts again from step 0")
        if self._restored_step is None:
            self._load_first_weights()

    def run(self) -> Result:
        """Train until a limit is reached; raise Interrupted, saved, when a stop was asked for."""
        outcome = "failed"
        self._parts.model.train()
        try:
            self._events.tell("on_fit_start")
            self._begin()
            self._train()
            if self._is_pruned:
                self._saver.finish()
            else:
                self._finish()
            outcome = "pruned" if self._is_pruned else "completed"
        except Interrupted:
            outcome = "preempted"
            if self._step.stage is not Stage.WHOLE:
                _log.info("stopped inside an epoch: the last end of one that was saved counts")
            self._saver.finish()
            raise
        except Exception as error:
            self._keeping.save_after(error)
            raise
        finally:
            self._close_loaders()
            self._events.tell_end(outcome)
        return self.result

    def _load_first_weights(self) -> None:
        parts = self._parts
        taken = parts.first_weights.load(parts.model, parts.average.copy)
        if taken is not None and parts.ranks.is_main:
            write_json_atomically(self._directory.init_weights, asdict(taken))

    def _begin(self) -> None:
        progress = self._progress
        if self._restored_step is not None:
            _log.info("resumed step=%d epoch=%s", self._restored_step, progress.fractional_epoch)
        wants_evaluation = self._options.evaluate_at_start and self._can_evaluate
        if wants_evaluation and progress.step == 0 and not progress.is_evaluated:
            self._evaluate()
        self._settle()

    def _train(self) -> None:
        progress, speed = self._progress, self._speed
        accumulation = self._options.gradient_accumulation_steps
        while (reason := self._end()) is None:
            speed.resume()
            micro_batches = speed.wait(self._take, accumulation)
            samples = self._step(micro_batches, step=progress.step)
            speed.count(samples)
            if self._options.schedule_every == "step":
                self._parts.schedule.step()
            progress.advance(
                batches=len(micro_batches), samples=samples, ends_epoch=self._data.is_epoch_over
            )
            # On a logged step the means wait for the device, which belongs to the training time.
            means = self._window.means(progress)
            progress.seconds += speed.pause()
            if self._options.schedule_every == "epoch" and progress.is_epoch_end:
                self._parts.schedule.step()
            self._data.mark()
            rows = self._close_window(means) if means else {}
            self._step.stage = Stage.WHOLE  # from here on others are told, who may fail
            if rows:
                self._recorder.record(rows)
            self._events.tell("on_step_end")
            self._settle()
        _log.info("training ended step=%d: %s", progress.step, reason)
        if self._restored_step == progress.step and not self._is_pruned:
            _log.info("nothing was left to train (%s): a longer run needs a higher limit", reason)

    def _end(self) -> str | None:
        if self._is_pruned:
            return "pruned, it falls behind other runs"
        return self._limits.reached(self._progress, self._best)

    def _take(self, count: int) -> list[MicroBatch]:
        try:
            return self._data.take(count)
        except WorkerError:  # perhaps by the signal that asks this process to stop
            if not self._parts.ranks.are_several:
                self._agreement.look()
                self._stop()
            raise

    def _between_batches(self) -> None:
        """Inside a step that is a whole epoch: a sign of life; a stop, with nothing to save."""
        self._beat()
        self._agreement.look()
        self._agreement.obey()

    def _settle(self) -> None:
        """Do what is due at the boundary after a step; after a restart, what was left undone."""
        self._beat()
        if self._saver.is_writing:
            self._tell_of_checkpoints()
        since_save, self._progress.seconds = self._agreement.look(
            self._saver.seconds_since_save, self._progress.seconds
        )
        if self._agreement.is_to_stop:
            self._stop()
        if is_due(self._evaluate_every, self._progress) and not self._progress.is_evaluated:
            self._evaluate()
        if self._progress.told_epochs < self._progress.epoch:
            self._progress.told_epochs = self._progress.epoch
            self._events.tell("on_epoch_end", self._newest.values)
        if self._keeping.is_due(since_save):
            self._keeping.save(planned=True)

    def _finish(self) -> None:
        self._health.check(self._saver, self._progress)
        self._window.record_rest()
        wants_evaluation = self._options.evaluate_at_end and self._can_evaluate
        if wants_evaluation and not self._progress.is_evaluated:
            self._evaluate()
        self._keeping.save(planned=True)
        self._saver.wait_for_last(self._progress.step, evaluations=self._progress.evaluations)
        self._tell_of_checkpoints()
        if self._options.test_at_end and in_split(self._parts.loaders, "test"):
            self._agreement.look()
            self._agreement.obey()
            self._test()
        self._agreement.look()  # saved, or with the best weights loaded: nothing to save
        self._agreement.obey()

    def _stop(self) -> None:
        """Save and leave, if a stop was asked for."""
        if self._agreement.is_to_stop and self._agreement.may_save:
            self._keeping.save(planned=False)
        self._agreement.obey()

    def _evaluate(self) -> None:
        """Evaluate, let schedule and patience see the score."""
        self._health.check(self._saver, self._progress)
        try:
            values = self._evaluator.values_of(
                "evaluation", self._parts.average.model, step=self._progress.step
            )
        except Interrupted:  # given up: the next job does it again
            self._keeping.save(planned=False)
            raise
        self._step.stage = Stage.UPDATING
        self._progress.evaluations += 1
        self._progress.evaluated_step = self._progress.step
        self._evaluation_values = values
        if self._scores.are_worth_saving("evaluation", values):
            self._progress.wants_save = True
        score = self._scores.score_in(values)
        if self._options.schedule_every == "evaluation":
            self._parts.schedule.step(score)
        self._step.stage = Stage.WHOLE
        if score is not None:
            self._is_pruned = self._parts.pruning.is_due(
                self._progress, score, is_last=self._end() is not None
            )

    def _test(self) -> None:
        model, average = self._parts.model, self._parts.average.copy
        step = self._fit.tested_step = self._saver.restore_best_weights()
        if step is not None:
            _log.info("testing the weights of step=%d", step)
        else:
            _log.info("testing the last weights: no best checkpoint was kept")
            if average is not None:
                model.load_state_dict(average.state_dict())
        self._test_values = self._evaluator.values_of("test", model, step=self._progress.step)

    def _close_window(self, means: dict[str, float]) -> Rows:
        """Judge the means since the last row; return the rows to record, if any."""
        if not self._health.accepts(means, self._saver, self._progress):
            return {}
        rows = self._window.close(means)
        if self._scores.are_worth_saving("train", rows["train"]):
            self._progress.wants_save = True
        return rows

    def _close_loaders(self) -> None:
        for loader in self._parts.loaders.values():
            loader.close()

    def _tell_of_checkpoints(self) -> None:
        for step in self._saver.committed():
            self._events.tell("on_checkpoint", step)

    def _on_row(self, row: Row) -> None:
        self._newest.take(row)
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
            "splitting": self._step.splitting,
            "health": self._health,
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
            ranks=self._parts.ranks,
            best=self._best,
            record=self._recorder.record_watched,
        )

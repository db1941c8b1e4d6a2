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

from runner.config.duration import parse_optional
from runner.data.data import in_split
from runner.data.epoch import MicroBatch
from runner.errors import Interrupted, WorkerError
from runner.files import write_json_atomically
from runner.run.directory import RunDirectory
from runner.run.journal import Journal
from runner.runtime.signals import StopRequests
from runner.training.agreement import Agreement
from runner.training.averages import Averages
from runner.training.cadence import is_due
from runner.training.evaluation import Evaluator
from runner.training.health import Health
from runner.training.keeping import Keeping
from runner.training.parts import Parts
from runner.training.position import TrainingData
from runner.training.progress import Progress
from runner.training.reporting import Reporting
from runner.training.result import Result
from runner.training.saved_state import saver_for
from runner.training.scores import Scores
from runner.training.speed import Speedometer
from runner.training.stage import Stage
from runner.training.steps import step_for
from runner.training.testing import tested
from runner.training.window import Rows

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
        trainer = parts.options.trainer
        self._parts = parts
        self._directory = directory
        self._options = trainer
        self._beat = beat
        self._agreement = Agreement(parts.ranks, stop)
        self._progress = Progress(batches_per_epoch=parts.loaders["train"].num_batches)
        self._averages = Averages(parts.ranks, finite_only=trainer.on_nonfinite == "skip")
        self._scores = Scores(parts.options, self._progress, pruning=parts.pruning)
        self._can_evaluate = bool(in_split(parts.loaders, "evaluation"))
        self._evaluate_every = parse_optional(
            trainer.evaluate_every if self._can_evaluate else None
        )
        self._data = TrainingData(parts.loaders["train"], self._progress)
        self._speed = Speedometer()
        self._step = step_for(
            parts, self._averages, speed=self._speed, between=self._between_batches
        )
        reporting = Reporting(
            parts,
            directory=directory,
            journal=journal,
            progress=self._progress,
            averages=self._averages,
            speed=self._speed,
            best=self._scores.best,
        )
        self._recorder, self._window = reporting.recorder, reporting.window
        self._events, self._fit = reporting.events, reporting.fit
        self._newest = reporting.newest
        self._evaluator = Evaluator(
            parts,
            recorder=self._recorder,
            events=self._events,
            agreement=self._agreement,
            beat=beat,
        )
        self._health = Health(parts, self._averages)
        self._saver = saver_for(
            parts,
            directory,
            progress=self._progress,
            data=self._data,
            averages=self._averages,
            step=self._step,
            health=self._health,
            best=self._scores.best,
            sync_journal=self._recorder.sync,
            beat=beat,
        )
        self._keeping = Keeping(
            self._saver,
            parts.options.checkpoint,
            health=self._health,
            progress=self._progress,
            agreement=self._agreement,
            step=self._step,
            ranks=parts.ranks,
        )
        self._restored_step: int | None = None
        self._test_values: dict[str, float] = {}

    @property
    def result(self) -> Result:
        """Return what has come of the training so far."""
        scores = self._scores
        return Result(
            step=self._progress.step,
            score=scores.best.score,
            best_step=scores.best.step,
            is_pruned=scores.is_pruned,
            evaluation=scores.evaluation,
            test=self._test_values,
        )

    def restore(self) -> None:
        """Go to where the newest checkpoint stands, if any; CheckpointError if it does not fit."""
        self._restored_step = self._saver.restore()
        self._health.begin_at(self._progress.step)
        self._newest.read(self._directory.journal, until_step=self._progress.step)
        if self._restored_step is not None:
            return
        if self._recorder.has_rows:
            _log.warning("no checkpoint is there: training starts again from step 0")
        parts = self._parts
        taken = parts.first_weights.load(parts.model, parts.average.copy)
        if taken is not None and parts.ranks.is_main:
            write_json_atomically(self._directory.init_weights, asdict(taken))

    def run(self) -> Result:
        """Train until a limit is reached; raise Interrupted, saved, when a stop was asked for."""
        outcome = "failed"
        self._parts.model.train()
        try:
            self._events.tell("on_fit_start")
            self._begin()
            self._train()
            if self._scores.is_pruned:
                self._saver.finish()
            else:
                self._finish()
            outcome = "pruned" if self._scores.is_pruned else "completed"
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
            self._parts.close_loaders()
            self._events.tell_end(outcome)
        return self.result

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
        while (reason := self._scores.end()) is None:
            speed.resume()
            micro_batches = speed.wait(self._take, self._options.gradient_accumulation_steps)
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
        if self._restored_step == progress.step and not self._scores.is_pruned:
            _log.info("nothing was left to train (%s): a longer run needs a higher limit", reason)

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
        self._agreement.look_and_obey()

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
        if self._agreement.is_enough(self._progress.step):
            self._stop()

    def _finish(self) -> None:
        self._health.check(self._saver, self._progress)
        self._window.record_rest()
        if self._options.evaluate_at_end and self._can_evaluate and not self._progress.is_evaluated:
            self._evaluate()
        self._keeping.save(planned=True)
        self._saver.wait_for_last(self._progress.step, evaluations=self._progress.evaluations)
        self._tell_of_checkpoints()
        if self._options.test_at_end and in_split(self._parts.loaders, "test"):
            self._agreement.look_and_obey()
            self._test_values = tested(self._parts, self._evaluator, self._saver, self._fit)
        self._agreement.look_and_obey()  # saved, or with the best weights loaded: nothing to save

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
        score = self._scores.take_evaluation(values)
        if self._options.schedule_every == "evaluation":
            self._parts.schedule.step(score)
        self._step.stage = Stage.WHOLE
        self._scores.maybe_prune(score)

    def _close_window(self, means: dict[str, float]) -> Rows:
        """Judge the means since the last row; return the rows to record, if any."""
        if not self._health.accepts(means, self._saver, self._progress):
            return {}
        rows = self._window.close(means)
        self._scores.take("train", rows["train"])
        return rows

    def _tell_of_checkpoints(self) -> None:
        for step in self._saver.committed():
            self._events.tell("on_checkpoint", step)

"""When a training is saved, and what is not worth saving."""

import logging

from runner.config.duration import parse_optional
from runner.config.options import CheckpointOptions
from runner.runtime.ranks import Ranks
from runner.training.agreement import Agreement
from runner.training.cadence import is_due
from runner.training.health import Health, NonfiniteError
from runner.training.progress import Progress
from runner.training.saving import Saver
from runner.training.stage import Stage, Step

_log = logging.getLogger(__name__)


class Keeping:
    """Saves the boundaries of one training, never what a loss that is no number has spoilt."""

    def __init__(
        self,
        saver: Saver,
        options: CheckpointOptions,
        *,
        health: Health,
        progress: Progress,
        agreement: Agreement,
        step: Step,
        ranks: Ranks,
    ) -> None:
        self._saver = saver
        self._every = parse_optional(options.every)
        self._keep_every = options.keep_every_steps
        self._health = health
        self._progress = progress
        self._agreement = agreement
        self._step = step
        self._ranks = ranks

    def is_due(self, seconds_since_save: float) -> bool:
        """Return whether this boundary is to be saved, by what was asked for or by its score."""
        progress, every = self._progress, self._keep_every
        if progress.wants_save:
            return True
        if every is not None and progress.step > 0 and progress.step % every == 0:
            return True
        return is_due(self._every, progress, seconds_since_last=seconds_since_save)

    def save(self, *, planned: bool) -> None:
        """Save this boundary; `planned` if an undisturbed training saves it as well."""
        if planned:
            self._progress.wants_save = False
            self._health.check(self._saver, self._progress)
        elif not self._health.is_sound():
            _log.error("not saved step=%d: the loss is no number", self._progress.step)
            return
        self._saver.save(
            self._progress.step, evaluations=self._progress.evaluations, planned=planned
        )

    def save_after(self, error: Exception) -> None:
        """Save the last boundary after an error, where this process knows it to be whole."""
        try:
            if self._can_save_after(error):
                self.save(planned=False)
            self._saver.wait()
        except Exception:  # what ended the training is what the user is to hear of
            _log.exception("nothing could be saved after the error that follows")

    def _can_save_after(self, error: Exception) -> bool:
        if self._ranks.are_several or not self._agreement.may_save:
            return False  # the other ranks stand elsewhere; or the directory is another job's
        if isinstance(error, NonfiniteError) or self._step.stage is Stage.UPDATING:
            self._saver.wait()  # the first one may be under way
            counts = "the newest checkpoint counts"
            if not self._saver.has_saved:
                counts = "no checkpoint is there, and a resume begins again at step 0"
            _log.warning("not saved step=%d: %s", self._progress.step, counts)
            return False
        if self._step.stage is Stage.COMPUTING:
            self._step.go_back()
        return True

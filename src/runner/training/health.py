"""What to do when the loss is no number: stop, or go back to weights that were good.

Looked at where the device is waited for anyway: at logged steps, before evaluations and saves.
`trainer.on_nonfinite=skip` leaves out the steps themselves: see finite.py.
"""

import logging
import math
from typing import Any, Protocol

from runner.errors import RunError
from runner.protocols import check_state_keys
from runner.tasks.task import has_step
from runner.training.averages import Averages
from runner.training.finite import is_finite
from runner.training.parts import Parts
from runner.training.progress import Progress

MOST_ROLLBACKS = 3  # without a row of finite values in between

_log = logging.getLogger(__name__)


class NonfiniteError(RunError):
    """The loss became infinite or no number at all; what is in memory is not worth saving."""


class CanRollBack(Protocol):
    """The part of the saver that is needed here."""

    def roll_back(self) -> int | None:
        """Restore weights and optimizer of the last planned checkpoint and return its step."""
        ...


class Health:
    """Watches over the loss of one training; Stateful, since roll-backs are counted."""

    def __init__(self, parts: Parts, averages: Averages) -> None:
        self._parts = parts
        self._averages = averages
        self._policy = parts.options.trainer.on_nonfinite
        self._whole_windows_skipped = 0
        self._good_step = 0  # up to here the loss was finite
        self._checked_step = 0  # up to here the weights were, too
        self._rollbacks = 0

    def is_sound(self) -> bool:
        """Return whether loss and weights are numbers on all ranks, which all call this; waits."""
        if self._policy == "skip":
            return True
        return is_finite(self._averages.means(), self._parts.model, self._parts.ranks)

    def check(self, saver: CanRollBack, progress: Progress) -> None:
        """Go back if something is not finite, or raise NonfiniteError; all ranks call this."""
        if progress.step == self._checked_step:
            return
        if self.is_sound():
            self._good_step = self._checked_step = progress.step
        else:
            self._act(saver, progress)

    def accepts(self, means: dict[str, float], saver: CanRollBack, progress: Progress) -> bool:
        """Return whether a row with `means` is worth logging; else do what `check` does."""
        if self._policy == "skip":
            self._tell_of_skipped(means.get("skipped_share", 0.0), progress)
        if self._policy == "skip" or math.isfinite(means.get("loss", 0.0)):
            self._good_step, self._rollbacks = progress.step, 0
            return True
        self._act(saver, progress)
        return False

    def state_dict(self) -> dict[str, Any]:
        return {"rollbacks": self._rollbacks, "windows_skipped": self._whole_windows_skipped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_state_keys("health", state, ("rollbacks", "windows_skipped"))
        self._rollbacks = state["rollbacks"]
        self._whole_windows_skipped = state["windows_skipped"]

    def begin_at(self, step: int) -> None:
        """Say from where on losses are looked at: where this job begins."""
        self._good_step = step

    def _tell_of_skipped(self, share: float, progress: Progress) -> None:
        if not share:
            self._whole_windows_skipped = 0
            return
        where = f"between step {self._good_step} and step {progress.step}"
        _log.warning("%.0f%% of the steps %s skipped: no finite gradient", 100 * share, where)
        self._whole_windows_skipped = self._whole_windows_skipped + 1 if share == 1 else 0
        if self._whole_windows_skipped == MOST_ROLLBACKS:
            raise NonfiniteError(f"no step had a finite gradient any more, {where}")

    def _act(self, saver: CanRollBack, progress: Progress) -> None:
        where = f"the loss is no number between step {self._good_step} and step {progress.step}"
        if self._policy == "stop":
            skip = "skip, or " if has_step(self._parts.task) else ""  # others take no skips
            raise NonfiniteError(
                f"{where}: lower optimizer.lr, set trainer.max_grad_norm, or go on with "
                f"trainer.on_nonfinite={skip}rollback with checkpoint.every in steps (also on "
                "resume)"
            )
        self._rollbacks += 1
        if self._rollbacks > MOST_ROLLBACKS:
            raise NonfiniteError(f"{where}, after {MOST_ROLLBACKS} roll-backs in a row")
        step = saver.roll_back()
        if step is None:
            raise NonfiniteError(f"{where}, and there is no checkpoint to roll back to")
        self._averages.reset()
        self._good_step = self._checked_step = progress.step
        _log.warning("%s: going on with the weights of step %d", where, step)

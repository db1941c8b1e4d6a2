"""`Optimization`: the optimizer and its schedule, built for one model."""

import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from runner.protocols import check_state_keys

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[..., LRScheduler]

_log = logging.getLogger(__name__)


class Schedule:
    """A learning-rate scheduler of torch, planned for `total_steps`.

    The plan is part of the state: a run that is trained longer keeps the schedule it began with,
    and the last learning rate after its end. Without a scheduler nothing happens.
    """

    def __init__(
        self, scheduler: LRScheduler | ReduceLROnPlateau | None, *, total_steps: int | None
    ) -> None:
        self._scheduler = scheduler
        self._total_steps = total_steps
        self._steps = 0

    @property
    def needs_score(self) -> bool:
        """Return whether the scheduler follows a score, as plateau does."""
        return isinstance(self._scheduler, ReduceLROnPlateau)

    def step(self, score: float | None = None) -> None:
        """Go on by one step, epoch or evaluation; plateau schedulers need the `score`."""
        if self._scheduler is None:
            return
        if isinstance(self._scheduler, ReduceLROnPlateau):
            if score is not None:
                self._scheduler.step(score)
            return
        self._steps += 1
        if self._total_steps is None or self._steps < self._total_steps:
            self._scheduler.step()
        elif self._steps == self._total_steps + 1:  # trained longer than it was planned for
            _log.info("schedule ended step=%d: the learning rate stays as it is", self._steps)

    def state_dict(self) -> dict[str, Any]:
        scheduler = None if self._scheduler is None else self._scheduler.state_dict()
        return {"scheduler": scheduler, "total_steps": self._total_steps, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_state_keys("schedule", state, ("scheduler", "total_steps", "steps"))
        self._total_steps, self._steps = state["total_steps"], state["steps"]
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state["scheduler"])


def build_schedule(
    factory: SchedulerFactory | None, optimizer: Optimizer, *, total_steps: int | None
) -> Schedule:
    """Return the schedule of `factory`; it is given `total_steps` if it asks for that argument."""
    if factory is None:
        return Schedule(None, total_steps=None)
    if asks_for_total_steps(factory):
        return Schedule(factory(optimizer, total_steps=total_steps), total_steps=total_steps)
    return Schedule(factory(optimizer), total_steps=None)


def asks_for_total_steps(factory: SchedulerFactory) -> bool:
    """Return whether a schedule has to be told how long it is."""
    given = getattr(factory, "keywords", {})
    return "total_steps" in inspect.signature(factory).parameters and "total_steps" not in given

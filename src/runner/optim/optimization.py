"""`Optimization`: the optimizer and its schedule, built for one model."""

import inspect
import logging
import math
from collections.abc import Callable, Iterable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from runner.errors import ConfigError
from runner.protocols import check_state_keys

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]  # of parameters, or of groups of them
SchedulerFactory = Callable[..., LRScheduler]

NAME, LR_FACTOR = "name", "lr_factor"  # what a group of parameters has besides torch's own
_OF_EACH_GROUP = ("max_lr", "base_lr")  # arguments of torch's cycles that may be lists

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
    """Return the schedule of `factory`; it is given `total_steps` if it asks for that argument.

    Groups of parameters keep their share of the learning rate (ConfigError if they cannot).
    """
    if factory is None:
        return Schedule(None, total_steps=None)
    planned = total_steps if asks_for_total_steps(factory) else None
    arguments = {} if planned is None else {"total_steps": planned}
    scheduler = factory(optimizer, **arguments, **_rates_of_groups(factory, optimizer))
    _check_groups(scheduler, optimizer)
    return Schedule(scheduler, total_steps=planned)


def asks_for_total_steps(factory: SchedulerFactory) -> bool:
    """Return whether a schedule has to be told how long it is."""
    given = getattr(factory, "keywords", {})
    return "total_steps" in inspect.signature(factory).parameters and "total_steps" not in given


def _rates_of_groups(factory: SchedulerFactory, optimizer: Optimizer) -> dict[str, list[float]]:
    """Return the learning rates that cycles of torch are told, for each group its own.

    One that is told no highest one rises to the learning rate of the optimizer.
    """
    if getattr(factory, "func", factory) not in (OneCycleLR, CyclicLR):
        return {}
    factors = [group.get(LR_FACTOR, 1.0) for group in optimizer.param_groups]
    given = {"max_lr": optimizer.defaults.get("lr"), **getattr(factory, "keywords", {})}
    return {
        name: [given[name] * factor for factor in factors]
        for name in _OF_EACH_GROUP
        if isinstance(given.get(name), int | float)
    }


def _check_groups(scheduler: LRScheduler | ReduceLROnPlateau, optimizer: Optimizer) -> None:
    shares = [group["lr"] / group.get(LR_FACTOR, 1.0) for group in optimizer.param_groups]
    if any(LR_FACTOR in group for group in optimizer.param_groups) and not all(
        math.isclose(share, shares[0], rel_tol=1e-6) for share in shares
    ):
        raise ConfigError(
            f"scheduler: {type(scheduler).__name__} gives every group of parameters the same "
            "learning rate, so parameters.lr_factors and layer_decay have no effect: use another"
        )

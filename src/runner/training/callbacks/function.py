"""`FunctionCallback`: a plain function as a callback.

Trainer(..., callbacks={"report": FunctionCallback(report)})

# from config
callbacks:
  report:
    _target_: runner.training.callbacks.function.FunctionCallback
    on_epoch_end: {_target_: my_code.report, _partial_: true}
"""

import inspect
from collections.abc import Callable
from typing import Any

from runner.errors import ConfigError, did_you_mean
from runner.training.callback import Callback

_EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class FunctionCallback(Callback):
    """Calls a function at the end of every epoch, or functions at the events they are given for.

    A function takes as many of the event's arguments as it has parameters: `report(fit)`, or
    `report(fit, values)`, where `values` maps "evaluation.accuracy" and the like to the newest
    value. Raises ConfigError for an event that there is not, and for a function that takes more.
    """

    def __init__(
        self,
        on_epoch_end: Callable[..., object] | None = None,
        **functions: Callable[..., object] | None,
    ) -> None:
        for event, function in {"on_epoch_end": on_epoch_end, **functions}.items():
            if event not in _EVENTS:
                raise ConfigError(f"{event} is no event of training{did_you_mean(event, _EVENTS)}")
            if function is not None:
                setattr(self, event, _calling(function, event))


def _calling(function: Callable[..., object], event: str) -> Callable[..., None]:
    """Return what calls `function` with as many of the event's arguments as it takes."""
    offered = list(inspect.signature(getattr(Callback, event)).parameters)[1:]
    taken = _number_taken(function)
    count = len(offered) if taken is None else taken
    if count > len(offered):
        raise ConfigError(
            f"the function for {event} has {count} parameters, and {event} offers "
            f"{len(offered)}: {', '.join(offered)}"
        )

    def call(*args: Any) -> None:
        function(*args[:count])

    return call


def _number_taken(function: Callable[..., object]) -> int | None:
    """Return how many positional arguments `function` needs or takes; None: any number."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)

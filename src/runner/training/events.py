"""Tell the callbacks what happens, at no cost for events that none of them listens to."""

from collections.abc import Callable, Mapping
from typing import Any

from runner.errors import RunError
from runner.training.callback import Callback, Fit


class CallbackError(RunError):
    """A callback raised; the run is saved and ends."""


class Events:
    """Calls every callback that overrides an event, in the order of the config."""

    def __init__(self, callbacks: Mapping[str, Callback], fit: Fit) -> None:
        self._fit = fit
        self._listeners: dict[str, list[tuple[str, Callable[..., None]]]] = {}
        for event in (name for name in vars(Callback) if name.startswith("on_")):
            self._listeners[event] = [
                (name, getattr(callback, event))
                for name, callback in callbacks.items()
                if getattr(type(callback), event) is not getattr(Callback, event)
            ]

    def tell(self, event: str, *args: Any) -> None:
        """Call `event` with `args` on those who listen; CallbackError names one that raises."""
        for name, listener in self._listeners[event]:
            try:
                listener(self._fit, *args)
            except Exception as error:
                raise CallbackError(
                    f"callbacks.{name} failed in {event}: {type(error).__name__}: {error} "
                    f"(leave it out with ~callbacks.{name})"
                ) from error

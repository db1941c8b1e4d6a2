"""Tell the callbacks what happens, at no cost for events that none of them listens to."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from runner.errors import ConfigError, RunError, did_you_mean
from runner.training.callback import Callback, Fit

_log = logging.getLogger(__name__)


class CallbackError(RunError):
    """A callback raised; the run is saved and ends."""


class Events:
    """Calls every callback that overrides an event, in the order of the config."""

    def __init__(self, callbacks: Mapping[str, Callback], fit: Fit) -> None:
        self._fit = fit
        for name, callback in callbacks.items():
            _refuse_unknown_events(name, callback)
        self._listeners: dict[str, list[tuple[str, Callable[..., None]]]] = {}
        for event in (name for name in vars(Callback) if name.startswith("on_")):
            self._listeners[event] = [
                (name, getattr(callback, event))
                for name, callback in callbacks.items()
                if _hears(callback, event)
            ]

    def has_listeners(self, event: str) -> bool:
        """Return whether any callback wants to hear of `event`."""
        return bool(self._listeners[event])

    def tell(self, event: str, *args: Any) -> None:
        """Call `event` with `args` on those who listen; CallbackError names one that raises."""
        for name, listener in self._listeners[event]:
            try:
                listener(self._fit, *args)
            except Exception as error:
                raise CallbackError(_sentence(name, event, error)) from error

    def tell_end(self, outcome: str) -> None:
        """Call `on_fit_end` on every callback, whatever the others do.

        After a completed training the first failure is raised at the end; after any other outcome
        failures are logged, so that they do not stand in for the reason of the end.
        """
        failed: list[CallbackError] = []
        for name, listener in self._listeners["on_fit_end"]:
            try:
                listener(self._fit, outcome)
            except Exception as error:
                _log.exception("%s", _sentence(name, "on_fit_end", error))
                failed.append(CallbackError(_sentence(name, "on_fit_end", error)))
        if failed and outcome == "completed":
            raise failed[0]


def _refuse_unknown_events(name: str, callback: Callback) -> None:
    """Raise ConfigError for a method that is called like an event and would never be called."""
    for method in dir(callback):
        if method.startswith("on_") and not hasattr(Callback, method):
            known = [event for event in vars(Callback) if event.startswith("on_")]
            raise ConfigError(
                f"callbacks.{name}.{method}: there is no event of that name"
                f"{did_you_mean(method, known)}; there are {', '.join(known)}"
            )


def _hears(callback: Callback, event: str) -> bool:
    """Return whether a callback, or its class, has `event` for itself."""
    return event in vars(callback) or getattr(type(callback), event) is not getattr(Callback, event)


def _sentence(name: str, event: str, error: Exception) -> str:
    return (
        f"callbacks.{name} failed in {event}: {type(error).__name__}: {error} "
        f"(leave it out with ~callbacks.{name})"
    )

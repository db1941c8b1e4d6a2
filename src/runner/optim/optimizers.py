"""`Optimizers` and `Schedules`: several of them by name, as one part of a training each."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch.optim import Optimizer

from runner.optim.optimization import Schedule
from runner.protocols import Stateful, check_state_keys

SINGLE = "optimizer"  # the name of an optimizer that is the only one


class Optimizers(Mapping[str, Optimizer]):
    """Optimizers by name; the state of each stands under its name."""

    def __init__(self, optimizers: Mapping[str, Optimizer]) -> None:
        self._optimizers = dict(optimizers)

    def __getitem__(self, name: str) -> Optimizer:
        return self._optimizers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._optimizers)

    def __len__(self) -> int:
        return len(self._optimizers)

    def state_dict(self) -> dict[str, Any]:
        return _states(self._optimizers)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        _load("the optimizers", self._optimizers, state)


class Schedules:
    """A schedule for each of several optimizers, which go on together."""

    def __init__(self, schedules: Mapping[str, Schedule]) -> None:
        self._schedules = dict(schedules)

    @property
    def needs_score(self) -> bool:
        """Return whether one of the schedulers follows a score, as plateau does."""
        return any(schedule.needs_score for schedule in self._schedules.values())

    def step(self, score: float | None = None) -> None:
        """Go on by one step, epoch or evaluation; plateau schedulers need the `score`."""
        for schedule in self._schedules.values():
            schedule.step(score)

    def state_dict(self) -> dict[str, Any]:
        return _states(self._schedules)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        _load("the schedules", self._schedules, state)


def by_name(optimizer: Optimizer | Optimizers) -> Mapping[str, Optimizer]:
    """Return the optimizers by name; that of a single one is "optimizer"."""
    return {SINGLE: optimizer} if isinstance(optimizer, Optimizer) else optimizer


def with_settings_of(now: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state `saved` of optimizers with the settings (learning rates ...) of `now`."""
    if "param_groups" in saved:
        return {**saved, "param_groups": now["param_groups"]}
    return {name: with_settings_of(now[name], state) for name, state in saved.items()}


def _states(parts: Mapping[str, Stateful]) -> dict[str, Any]:
    return {name: part.state_dict() for name, part in parts.items()}


def _load(owner: str, parts: Mapping[str, Stateful], state: dict[str, Any]) -> None:
    check_state_keys(owner, state, parts)
    for name, part in parts.items():
        part.load_state_dict(state[name])

"""Stand-ins for the packages of two services, as far as accelerate uses them."""

import sys
from types import ModuleType
from typing import Any


class FakeRun:
    """A run of Weights & Biases, or an experiment of Comet; remembers what it was given."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments = arguments
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.parameters: dict[str, Any] = {}
        self.is_finished = False
        self.fails_at: int | None = None
        self.config = self

    def log(self, values: dict[str, float], step: int) -> None:
        if step == self.fails_at:
            self.fails_at = None
            raise ConnectionError("the service is down")
        self.logged.append((step, values))

    def update(self, values: dict[str, Any], allow_val_change: bool = False) -> None:
        self.parameters.update(values)

    def finish(self) -> None:
        self.is_finished = True

    # Comet's words for the same
    log_parameters = update

    def set_step(self, step: int) -> None:
        self.step = step

    def log_metric(self, name: str, value: float, step: int | None = None) -> None:
        self.log({name: value}, self.step if step is None else step)

    def log_other(self, name: str, value: str) -> None: ...

    end = finish


class FakeService:
    """The module of a service."""

    def __init__(self, monkeypatch: Any, name: str) -> None:
        self.runs: list[FakeRun] = []
        self.module = ModuleType(name)
        self.module.__version__ = "3.50.0"  # type: ignore[attr-defined]
        self.module.init = self.module.start = self._begin  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, self.module)

    def _begin(self, **arguments: Any) -> FakeRun:
        run = FakeRun(arguments)
        self.runs.append(run)
        self.module.config = run  # type: ignore[attr-defined]
        return run

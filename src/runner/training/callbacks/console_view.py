"""Two ways to show where training stands: a bar on a terminal, plain lines elsewhere."""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TextIO

SECONDS_OF_SILENCE = 30.0  # with trainer.log_every_steps=0, say: then a line tells that it lives


@dataclass(kw_only=True)
class Standing:
    """Where training stands; None is not known yet."""

    step: int = 0
    planned_steps: int | None = None
    epoch: float = 0.0
    loss: float | None = None
    average: float | None = None  # of the loss, moving
    best: str = ""  # "evaluation.loss:0.5@25"
    samples_per_second: float | None = None
    wait_share: float | None = None
    seconds_left: float | None = None


class ConsoleView(Protocol):
    """What a progress bar can be shown on."""

    def update(self, standing: Standing) -> None:
        """Show a step; called a few times a second."""
        ...

    def log(self, standing: Standing) -> None:
        """Show a row of the journal."""
        ...

    def evaluating(self, split: str, *, done: int, total: int) -> None:
        """Show how far an evaluation is."""
        ...

    def evaluated(self, split: str, standing: Standing, values: dict[str, float]) -> None:
        """Show the result of an evaluation."""
        ...

    def close(self) -> None:
        """Leave the last state standing."""
        ...


class LineView:
    """One line for each row of the journal and each evaluation, and one where long none came."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._wrote_at = time.monotonic()

    def update(self, standing: Standing) -> None:
        if time.monotonic() - self._wrote_at > SECONDS_OF_SILENCE:
            self.log(standing)

    def log(self, standing: Standing) -> None:
        of = "" if standing.planned_steps is None else f"/{standing.planned_steps}"
        facts = {
            "step": f"{standing.step}{of}",
            "epoch": f"{standing.epoch:.2f}",
            "loss": short(standing.loss),
            "average": short(standing.average),
            "samples/s": short(standing.samples_per_second),
            "wait": percent(standing.wait_share),
            "left": duration(standing.seconds_left),
        }
        self._write(facts)

    def evaluating(self, split: str, *, done: int, total: int) -> None: ...

    def evaluated(self, split: str, standing: Standing, values: dict[str, float]) -> None:
        figures = {f"{split}.{name}": short(value) for name, value in values.items()}
        self._write({"step": str(standing.step)} | figures | {"best": standing.best})

    def close(self) -> None: ...

    def _write(self, facts: dict[str, str]) -> None:
        line = " ".join(f"{name}={fact}" for name, fact in facts.items() if fact)
        with suppress(BrokenPipeError):  # nobody reads any more, as behind `| head`: train on
            self._stream.write(line + "\n")
            self._stream.flush()
        self._wrote_at = time.monotonic()


def short(value: float | None) -> str:
    """Return a figure with four digits that matter, "" for none."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def percent(share: float | None) -> str:
    """Return a share as per cent."""
    return "" if share is None else f"{100 * share:.0f}%"


def duration(seconds: float | None) -> str:
    """Return seconds as 0:07, 12:30 or 3:05:00."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

"""Put a fault in a step, in the write of a checkpoint, in an evaluation, or at the end of a run."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.config.options import CheckpointOptions, Options
from runner.training.callback import Callback, Fit
from tests.training.harness import final_state, journal_of, same, tiny_options, train

STEP = 8  # of 18; evaluations are at 6, 12 and 18
PLACES = ("step", "save", "evaluation")


def options(**checkpoint: Any) -> Options:
    """Evaluations, and saves on the way, apart from one another."""
    knobs = {"every": "4 steps", **checkpoint}
    return replace(tiny_options(), checkpoint=CheckpointOptions(**knobs))


class Fault(Callback):
    """Calls `strike` once, in its place; a save is struck at the first sync of a file in it."""

    def __init__(self, place: str, strike: Callable[[], None]) -> None:
        self._place = place
        self._strike = strike
        self._is_armed = False

    def on_fit_start(self, fit: Fit) -> None:
        if self._place == "start":
            self._strike_once()

    def on_step_end(self, fit: Fit) -> None:
        if fit.progress.step == STEP:
            self._is_armed = True
            if self._place == "step":
                self._strike_once()

    def on_evaluation_batch(self, fit: Fit, split: str, batch: Any, predictions: Any) -> None:
        if self._place == "evaluation" and self._is_armed:
            self._strike_once()

    def on_checkpoint(self, fit: Fit, step: int) -> None:
        if self._place == "commit" and self._is_armed:
            self._strike_once()

    def on_fit_end(self, fit: Fit, outcome: str) -> None:
        if self._place == "end":
            self._strike_once()

    def strike_in_a_save(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fsync = os.fsync

        def sync(descriptor: int) -> None:
            written = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            if self._place == "save" and self._is_armed and ".partial" in written:
                self._strike_once()
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", sync)

    def _strike_once(self) -> None:
        self._place = "nowhere"
        self._strike()


def send(number: signal.Signals, times: int = 1) -> Callable[[], None]:
    def strike() -> None:
        for _ in range(times):
            os.kill(os.getpid(), number)
            if threading.current_thread() is not threading.main_thread():
                time.sleep(0.1)  # two signals that are waiting for the main thread are one

    return strike


def assert_ends_like(straight: Path, path: Path, **changes: Any) -> None:
    """Go on with the run in `path` to its end and compare it to the straight one."""
    train(path, options(), **changes)
    assert journal_of(path) == journal_of(straight)
    assert same(final_state(path), final_state(straight))

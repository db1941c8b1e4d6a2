"""How a job of a sweep ended, and whether its run is worth another job.

What may pass by itself (a kill, a lost machine, a job that hung) is tried again, a few times as
long as no step is gained; a time limit is resumed as long as steps are gained. What would come
again the same way is not tried: a mistake in the config, an error in the code, a loss that is no
number, too little memory.
"""

import signal
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from runner.errors import ConfigError
from runner.run.status import Status
from runner.runtime.signals import STOP_SIGNALS
from runner.sweeps.pool import Ended


class Outcome(StrEnum):
    """The classes of ends; the value is what a table says."""

    COMPLETED = "completed"
    PRUNED = "pruned"
    STOPPED = "stopped"  # asked for by a signal, and saved
    CANCELLED = "cancelled"  # by a person
    KILLED = "killed"
    TIME_LIMIT = "time limit"
    HUNG = "hung"
    OUT_OF_MEMORY = "out of memory"
    NONFINITE = "loss is no number"
    CONFIG = "config"
    ERROR = "error"


_PASSING = (Outcome.STOPPED, Outcome.KILLED, Outcome.HUNG)
_LONGEST_WORDS = 200
_MEMORY_WORDS = ("OutOfMemoryError", "MemoryError", "out of memory", "can't allocate memory")


@dataclass(kw_only=True)
class Attempts:
    """How often a run was tried in this start of the sweep since it last gained a step."""

    best_step: int = 0
    without_gain: int = 0

    def count(self, step: int) -> None:
        """Take note of a job that ended with its run at `step`."""
        if step > self.best_step:
            self.best_step, self.without_gain = step, 0
        self.without_gain += 1


def outcome_of(ended: Ended, status: Status | None) -> Outcome:
    """Return how a job ended, from how its process did and what its run says."""
    state = status.state if status else None
    if ended.refusal is not None:
        return Outcome.ERROR
    if state == "pruned":
        return Outcome.PRUNED
    if ended.exit_code == 0 or state == "completed":  # what comes behind the last word is no matter
        return Outcome.COMPLETED
    if ended.is_cancelled or state == "cancelled":
        return Outcome.CANCELLED
    if ended.exceeded == "memory":
        return Outcome.OUT_OF_MEMORY
    if ended.exceeded == "time":
        return Outcome.TIME_LIMIT
    if ended.signal is not None:  # one that failed before had been tried enough
        return Outcome.ERROR if state == "failed" else Outcome.KILLED
    if ended.exit_code is not None and ended.exit_code - 128 in STOP_SIGNALS:
        return Outcome.STOPPED
    if ended.exit_code == ConfigError.exit_code:
        return Outcome.CONFIG
    return _outcome_of_error((status.error if status else None) or "")


def is_worth_another(outcome: Outcome, attempts: Attempts, *, retries: int) -> bool:
    """Return whether a run whose job ended so is tried again at once."""
    if outcome is Outcome.TIME_LIMIT:
        return attempts.without_gain <= 1
    return outcome in _PASSING and attempts.without_gain <= retries


def reason_of(outcome: Outcome, ended: Ended, attempts: Attempts) -> str:
    """Return a sentence on an end that the run itself could not tell of."""
    if ended.refusal is not None:
        return ended.refusal
    tries = attempts.without_gain
    times = f", {tries} times without a step gained" if tries > 1 else ""
    if ended.exceeded == "memory":
        return "it needed more memory than its limit"
    if outcome is Outcome.TIME_LIMIT:
        often = f" {tries} times" if tries > 1 else ""
        return (
            f"it reached its time limit{often} without gaining a step: give it more "
            "(hydra.launcher.time_limit; on a cluster hardware.slurm.time_limit)"
        )
    if ended.signal is not None:
        return f"its process was killed by {_name_of(ended.signal)}{times}"
    log = "logs/console.log" if ended.log is None else ended.log
    words = "" if ended.log is None else _last_words(ended.log)
    return f"its process ended with exit code {ended.exit_code}{times}{words}: see {log}"


def _outcome_of_error(error: str) -> Outcome:
    if any(word in error for word in _MEMORY_WORDS):
        return Outcome.OUT_OF_MEMORY
    if error.startswith("NonfiniteError"):
        return Outcome.NONFINITE
    if "gave no sign of life" in error or error.startswith("WorkerError"):
        return Outcome.HUNG
    return Outcome.ERROR


def _last_words(log: Path) -> str:
    """Return the last line of a log in parentheses, of a job that died before its run began."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" ({last[:_LONGEST_WORDS]})" if last else ""


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"

"""The exceptions of runner, each with the exit code that the command line gives it.

RunnerError            a mistake of the user or of the world: told in one sentence
├── ConfigError        exit code 2: found before any training
├── DataError          exit code 2: found before any training (inside it: RunError)
├── CheckpointError    exit code 1: nothing valid to restore, or it does not fit
└── RunError           exit code 1: the run directory cannot be used, or the run failed
    └── WorkerError    a process that makes batches was killed
Interrupted            exit code 128 + signal: a stop was asked for and obeyed
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Self


class RunnerError(Exception):
    """Say what is wrong, where (a config path or a file), and what to do."""

    exit_code = 1


class ConfigError(RunnerError):
    """The config cannot be run as it stands; `problems` holds one sentence for each mistake."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type[Self], tuple[str, ...]]:
        return type(self), self.problems  # one rank tells the others


class DataError(RunnerError):
    """The data cannot be read as the config says."""

    exit_code = 2


class CheckpointError(RunnerError):
    """A checkpoint is missing, damaged, or does not belong to this run."""


class RunError(RunnerError):
    """A run directory cannot be used as asked, or the run in it failed."""


class WorkerError(RunError):
    """A process that makes batches is gone."""


class Interrupted(BaseException):
    """Training stopped because `signal_number` asked for it; everything is saved.

    Not an `Exception`, so that the loop over the jobs of a sweep ends as well.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[type[Self], tuple[int]]:
        return type(self), (self.signal_number,)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `" - did you mean 'x'?"` when something in `known` resembles `word`, else `""`."""
    close = get_close_matches(word, list(known), n=1)
    return f" - did you mean '{close[0]}'?" if close else ""

"""`OrderedJob`: one run of a sweep as its pool starts it, in a process of its own."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import ConfigError, Interrupted, RunnerError
from runner.run.secrets import print_traceback, redacted
from runner.sweeps.search.pruning import Pruning


@dataclass(frozen=True, kw_only=True)
class OrderedJob:
    """Trains a frozen config in a directory, continuing what is there; returns its exit code."""

    config: Mapping[str, Any] = field(repr=False)
    path: Path
    overrides: tuple[str, ...]
    command: tuple[str, ...]
    pruning: Pruning | None = None  # of a run of a search, which may end it early
    delivered_to: Mapping[str, str] = field(default_factory=dict)  # see TrackedRun

    def __call__(self) -> int:
        try:
            self._train()
        except Interrupted as stop:
            return stop.exit_code
        except KeyboardInterrupt:
            return 130
        except RunnerError as error:
            many = isinstance(error, ConfigError) and len(error.problems) > 1
            text = redacted(f"error: {error}" if not many else f"error:\n{error}")
            print(text, file=sys.stderr)  # noqa: T201
            return error.exit_code
        except Exception as error:
            print_traceback(error)
            return 1
        return 0

    def _train(self) -> None:
        # Not before: the process that orders jobs does without torch.
        from runner.config.frozen import from_frozen
        from runner.config.threads import threads_of_run
        from runner.config.validate import validate
        from runner.job.job import run_job
        from runner.run.directory import RunDirectory

        threads = threads_of_run(RunDirectory(self.path).config)
        config = validate(from_frozen(self.config), threads=threads)
        run_job(
            config,
            self.path,
            overrides=self.overrides,
            command=self.command,
            pruning=self.pruning,
            delivered_to=self.delivered_to,
        )

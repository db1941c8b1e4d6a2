"""`OrderedJob`: one run of a sweep as its pool starts it, in a process of its own."""

import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.config.frozen import from_frozen
from runner.config.threads import threads_of_run
from runner.config.validate import validate
from runner.errors import ConfigError, Interrupted, RunnerError
from runner.job.job import run_job
from runner.run.directory import RunDirectory


@dataclass(frozen=True, kw_only=True)
class OrderedJob:
    """Trains a frozen config in a directory, continuing what is there; returns its exit code."""

    config: Mapping[str, Any] = field(repr=False)
    path: Path
    overrides: tuple[str, ...]
    command: tuple[str, ...]

    def __call__(self) -> int:
        try:
            config = validate(
                from_frozen(self.config),
                threads=threads_of_run(RunDirectory(self.path).config),
            )
            run_job(config, self.path, overrides=self.overrides, command=self.command)
        except Interrupted as stop:
            return stop.exit_code
        except KeyboardInterrupt:
            return 130
        except RunnerError as error:
            many = isinstance(error, ConfigError) and len(error.problems) > 1
            print(f"error: {error}" if not many else f"error:\n{error}", file=sys.stderr)  # noqa: T201
            return error.exit_code
        except Exception:
            traceback.print_exc()
            return 1
        return 0

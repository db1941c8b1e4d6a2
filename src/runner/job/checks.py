"""What a pool does to check configs, each in a process that may die of them.

What they find goes into the file `notes` (see sweeps/checks/findings.py), as they go on; the exit
code is 0 when they came to the end, whatever they found.
"""

import faulthandler
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.config.frozen import from_frozen
from runner.config.run_config import RunConfig
from runner.config.validate import validate
from runner.errors import ConfigError
from runner.sweeps.checks.findings import Findings, note_findings, note_stage

Configs = Sequence[Mapping[str, Any]]  # frozen
Choices = Sequence[Mapping[str, str]]  # the members of groups that each of them was made of

READING = "reading the config and importing what it names"


@dataclass(frozen=True, kw_only=True)
class ValidateAll:
    """Validates every config; nothing is built."""

    configs: Configs = field(repr=False)
    choices: Choices = field(repr=False)
    notes: Path
    is_elsewhere: bool = False  # they will run on a cluster

    def __call__(self) -> int:
        _tell_how_it_dies()
        note_stage(self.notes, READING)
        for config, choices in zip(self.configs, self.choices, strict=True):
            found = _validated(config, choices, is_elsewhere=self.is_elsewhere, threads=1)
            findings = Findings() if isinstance(found, RunConfig) else Findings(problems=found)
            note_findings(self.notes, findings)
        return 0


@dataclass(frozen=True, kw_only=True)
class Rehearse:
    """Validates configs that differ in optimizer, scheduler and trainer alone, and rehearses them.

    One of them is tried; the others are planned with its model and its data.
    """

    configs: Configs = field(repr=False)
    choices: Choices = field(repr=False)
    notes: Path
    is_timed: bool = False
    is_elsewhere: bool = False  # they will run on a cluster

    def __call__(self) -> int:
        _tell_how_it_dies()
        note_stage(self.notes, READING)
        read = [
            _validated(config, choices, is_elsewhere=self.is_elsewhere)
            for config, choices in zip(self.configs, self.choices, strict=True)
        ]
        valid = [config for config in read if isinstance(config, RunConfig)]
        # Not before: who orders a check does not have to import torch.
        from runner.job.rehearsal import rehearse

        found = iter(
            rehearse(
                valid,
                tell=lambda stage: note_stage(self.notes, stage),
                scratch=self.notes.parent,  # removed by who ordered this, should it be killed
                is_timed=self.is_timed,
                is_elsewhere=self.is_elsewhere,
            )
            if valid
            else ()
        )
        for config in read:
            is_valid = isinstance(config, RunConfig)
            note_findings(self.notes, next(found) if is_valid else Findings(problems=config))
        return 0


def _validated(
    config: Mapping[str, Any],
    choices: Mapping[str, str],
    *,
    is_elsewhere: bool,
    threads: int | None = None,
) -> RunConfig | Sequence[str]:
    """Return the config, as the cluster will run it if that `is_elsewhere`, or what is wrong."""
    try:
        valid = validate(from_frozen(config), choices=choices, threads=threads)
        if not is_elsewhere:
            return valid
        from runner.job.elsewhere import on_cluster

        return on_cluster(valid)
    except ConfigError as error:
        return error.problems


def _tell_how_it_dies() -> None:
    """Let the last words of this process, in its log, be where it stood."""
    faulthandler.enable(all_threads=False)
    faulthandler.register(signal.SIGTERM, all_threads=False, chain=True)  # by which a pool stops it

"""`check`: everything that can be known of a run without training, and nothing left behind."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from runner.cli.composing import compose_run
from runner.cli.preload import TRAINING
from runner.cli.sweeps.launcher_node import check_options, is_of_cluster
from runner.config.frozen import freeze, freeze_open
from runner.config.options import SweepOptions
from runner.config.validate import read_options
from runner.errors import ConfigError, Interrupted
from runner.job.checks import Rehearse, ValidateAll
from runner.runtime.signals import StopRequests
from runner.sweeps.checks.checking import Checker, Report
from runner.sweeps.identity import run_key
from runner.sweeps.ledger import Combination
from runner.sweeps.local.pool import LocalPool
from runner.sweeps.local.slots import Slots
from runner.sweeps.pool import Work
from runner.sweeps.slurm.admission import check_admission

_GRACE_SECONDS = 2.0  # there is nothing to save


@dataclass(frozen=True, kw_only=True)
class CheckWorks:
    """What the processes of a check do."""

    is_timed: bool = False  # also measure how long a step takes
    is_elsewhere: bool = False  # on a cluster, whose machines differ from this one

    def validate(
        self,
        configs: Sequence[Mapping[str, Any]],
        choices: Sequence[Mapping[str, str]],
        notes: Path,
    ) -> Work:
        return ValidateAll(
            configs=configs, choices=choices, notes=notes, is_elsewhere=self.is_elsewhere
        )

    def rehearse(
        self,
        configs: Sequence[Mapping[str, Any]],
        choices: Sequence[Mapping[str, str]],
        notes: Path,
    ) -> Work:
        return Rehearse(
            configs=configs,
            choices=choices,
            notes=notes,
            is_timed=self.is_timed,
            is_elsewhere=self.is_elsewhere,
        )


def check_run(overrides: Sequence[str]) -> int:
    """Check the run that `overrides` describe and print what is known; ConfigError if it is wrong.

    What it names is imported, built and tried in a process of its own, which may die of it.
    """
    cfg, choices, options = _compose(overrides)
    if options.check == "none":
        raise ConfigError("sweep.check=none leaves nothing to check: leave it out")
    launcher = HydraConfig.get().launcher
    check_options(launcher)
    is_elsewhere = is_of_cluster(launcher)
    frozen = freeze_open(cfg) if is_elsewhere else freeze(cfg)
    _print(check_config(frozen, choices, options, is_timed=True, is_elsewhere=is_elsewhere))
    return 0


def check_config(
    frozen: Mapping[str, Any],
    choices: Mapping[str, str],
    options: SweepOptions,
    *,
    is_timed: bool = False,
    is_elsewhere: bool = False,
) -> Report:
    """Return what is known of the run with this config; ConfigError if it is wrong.

    If it will run on a cluster (`is_elsewhere`), that is asked too.
    """
    combination = Combination(key=run_key(frozen), overrides=(), config=frozen)
    works = CheckWorks(is_timed=is_timed, is_elsewhere=is_elsewhere)
    notes = check_admission([combination]) if is_elsewhere else []  # it answers sooner
    with nothing_started(), StopRequests() as stop, checking_pool() as pool:
        checker = Checker(pool, works, options=options, stop=stop)
        report = checker.check([combination], choices=[choices])
    return replace(report, warnings=[*report.warnings, *notes])


@contextmanager
def nothing_started() -> Iterator[None]:
    """Say so at a stop within."""
    try:
        yield
    except Interrupted:
        print("stopped: nothing was started", file=sys.stderr)
        raise


def checking_pool() -> AbstractContextManager[LocalPool]:
    """Return a pool for checks alone: one after the other, so that each has the whole machine."""
    return closing(LocalPool(Slots(1), preload=TRAINING, grace_seconds=_GRACE_SECONDS))


def _compose(overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str], SweepOptions]:
    """Return the config as training composes it, the chosen members, and how to check."""
    cfg, choices = compose_run(overrides)
    with open_dict(cfg):
        node = cfg.pop("sweep", None)
    plain = {} if node is None else OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return cfg, choices, read_options(SweepOptions, plain, "sweep")  # type: ignore[arg-type]


def _print(report: Report) -> None:
    for warning in report.warnings:
        print(f"note: {warning}")
    for facts in report.facts:
        for line in _facts(facts):
            print(line)
    print(f"nothing wrong (checked in {report.seconds:.1f} s)")


def _facts(facts: Mapping[str, Any]) -> list[str]:
    """Return what is known of a run, in a line each."""
    seconds, steps = facts.get("seconds_per_step"), facts.get("planned_steps")
    lines = [f"model: {facts['parameters']:,} parameters"] if "parameters" in facts else []
    lines += [f"batch: {facts['batch']}"] if "batch" in facts else []
    if steps is not None:
        lines.append(f"steps: {steps:,} at most")
    if seconds is not None:
        lines.append(f"a step takes about {_duration(seconds)} on this machine")
    if seconds is not None and steps is not None:
        lines.append(f"all steps take about {_duration(seconds * steps)}, without evaluations")
    return lines


def _duration(seconds: float) -> str:
    """Return a length of time as a person would say it: "3 ms", "1.2 s", "14 minutes"."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"

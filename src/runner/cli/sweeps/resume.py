"""Continue the sweep in a directory from what stands there: its overrides are not needed again."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from runner.cli.check import CheckWorks, checking_pool, nothing_started
from runner.cli.sweeps.jobs import Performer, has_pool, jobs_on_cluster, open_pooled
from runner.cli.sweeps.launcher_node import changed_launcher, check_options, is_of_cluster
from runner.cli.sweeps.plan import Plan, plan_of
from runner.cli.sweeps.start import held, start_sweep
from runner.cli.train import train
from runner.config.frozen import with_layout
from runner.config.locate import make_user_code_importable, put_config_dir_first
from runner.config.options import SweepOptions
from runner.config.overrides import apply_value, parse_override, quoted
from runner.config.trust import NOBODY_ELSE, Trust
from runner.config.validate import read_options
from runner.errors import ConfigError, RunError
from runner.run.status import Status, read_raw_status, read_status, write_status
from runner.runtime.signals import StopRequests
from runner.sweeps.checks.checking import Checker
from runner.sweeps.decisions import Action, decide
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import Combination, Ledger, PlannedRun, read_ledger
from runner.sweeps.opening import LENGTH_KEYS
from runner.sweeps.pool import Home
from runner.sweeps.record import SweepRecord, read_record, refuse_stranger, write_record

_LOCAL = {"_target_": "hydra_plugins.runner_launchers.LocalLauncher"}


def resume_sweep(path: Path, overrides: Sequence[str], *, trust: Trust = NOBODY_ELSE) -> int:
    """Do what is missing of the sweep in `path`, with changes of layout keys if any are given.

    A new length (trainer.max_epochs=20) trains the runs that are done to it as well. Keys of
    `sweep` and `hydra.launcher` may be given too: sweep.retry=all, hydra.launcher.slots=4. A search
    is composed anew from the command that began it, since it makes new runs. A sweep from elsewhere
    needs `trust`.
    """
    directory = SweepDirectory(path)
    record = read_record(directory)
    refuse_stranger(directory, trust, to="resume")
    for folder in reversed(record.confs):
        put_config_dir_first(folder)
    make_user_code_importable()
    command = ["python", "-m", "runner", "resume", str(path), *overrides]
    if record.kind != "grid":
        return _resume_search(directory, record, overrides)
    layout = _change_options(record, overrides)
    check_options(record.launcher)
    plan = _plan(directory, record, layout)
    start_sweep(plan, partial(_open, node=record.launcher, command=command), command=command)
    return 0


def _resume_search(directory: SweepDirectory, record: SweepRecord, overrides: Sequence[str]) -> int:
    """Give the runs that are there the new layout, then let the command that began it go on."""
    layout = [text for text in overrides if not text.startswith(("sweep.", "hydra"))]
    if layout:
        plan = _plan(directory, record, layout)
        with nothing_started(), StopRequests() as stop, checking_pool() as pool:
            options = replace(plan.options, check="config")
            works = CheckWorks(is_elsewhere=is_of_cluster(record.launcher))
            checker = Checker(pool, works, options=options, stop=stop)
            checker.check(plan.to_check, choices=plan.choices)
            with held(directory, stop):
                plan.open_source(Ledger(directory.ledger))
                write_record(directory, record)
    where = f"hydra.sweep.dir={quoted(str(directory.path))}"
    return train(["-m", *record.arguments, where, "fresh=false", *overrides])


def _plan(directory: SweepDirectory, record: SweepRecord, layout: Sequence[str]) -> Plan:
    """Return what is to be done with the runs of the ledger, their layout changed."""
    runs = read_ledger(directory.ledger)
    if not runs and record.total:
        raise RunError(
            f"{directory.path} has lost its {directory.ledger.name}, which lists its runs: give "
            "the command that began it again"
        )
    _check_not_swept(record, layout)
    options = read_options(SweepOptions, record.options, "sweep")
    if layout and options.check == "none":
        options = replace(options, check="config")  # what is wrong must not be written down
    is_longer = any(parse_override(text).key_or_group in LENGTH_KEYS for text in layout)
    wanted = [replace(run, config=with_layout(run.config, layout)) for run in runs]
    for run, there in zip(wanted, runs, strict=True):
        status = read_status(directory.job(run.number))
        if status is not None and status.state == "completed":
            _check_longer(there.config, run.config, directory)
    record.base = with_layout(record.base, layout)
    return plan_of(
        directory,
        record,
        options,
        wanted,
        decision=partial(_decide, retry=options.retry, is_longer=is_longer),
        choices=[{} for _ in wanted],
        before=lambda starting: _reopen(directory, starting),
        on_cluster=jobs_on_cluster(directory, get_class(record.launcher["_target_"])),
    )


def _check_longer(
    old: Mapping[str, Any], new: Mapping[str, Any], directory: SweepDirectory
) -> None:
    for name in ("max_epochs", "max_steps"):
        before, now = old["trainer"].get(name), new["trainer"].get(name)
        if isinstance(before, int) and isinstance(now, int) and now < before:
            raise ConfigError(
                f"trainer.{name}={now}: runs of {directory.path} have completed {before} already, "
                "and a resume makes them longer, not shorter"
            )


def _check_not_swept(record: SweepRecord, layout: Sequence[str]) -> None:
    for text in layout:
        key = parse_override(text).key_or_group
        for name in record.swept:
            if name == key or key.startswith(f"{name}.") or name.startswith(f"{key}."):
                raise ConfigError(
                    f"{text}: this sweep varies {name}, so it cannot be changed for all its runs"
                )


def _decide(status: Status | None, *, retry: str, is_longer: bool) -> Action:
    if is_longer and status is not None and status.state == "completed":
        return Action.RESUME
    return decide(status, retry=retry)


def _reopen(directory: SweepDirectory, starting: Sequence[PlannedRun]) -> None:
    """Let runs that are done count as unfinished: they have a new length.

    Written before the ledger is: after a kill in between, each goes on to its old end, where it is.
    """
    for run in starting:
        path = directory.job(run.number).status
        status = read_raw_status(path)
        if status is not None and status.state == "completed":
            write_status(path, replace(status, state="queued"))


def _change_options(record: SweepRecord, overrides: Sequence[str]) -> list[str]:
    """Change what the record says of sweep and launcher; return the other overrides."""
    launcher = record.launcher
    if not has_pool(get_class(launcher["_target_"])):  # composed its jobs itself: not possible here
        launcher = _LOCAL
    record.launcher, rest = changed_launcher(launcher, overrides)
    mine = [text for text in rest if text.startswith("sweep.")]
    cfg = OmegaConf.create({"sweep": record.options})
    OmegaConf.set_struct(cfg, True)
    for text in mine:
        apply_value(cfg, parse_override(text))
    plain = OmegaConf.to_container(cfg.sweep)
    assert isinstance(plain, dict)
    record.options = {str(key): value for key, value in plain.items()}
    return [text for text in rest if text not in mine]


@contextmanager
def _open(
    runs: Sequence[Combination], home: Home, *, node: Mapping[str, Any], command: Sequence[str]
) -> Iterator[Performer]:
    with open_pooled(instantiate(node), runs, home, command) as jobs:
        yield jobs

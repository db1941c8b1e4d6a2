"""Start or continue a sweep: plan it, check it, do what is missing, tell how it ended.

compose every combination -> find the sweep's directory and compare what is there
  -> preview -> check what will be started -> write the ledger -> drive the jobs -> a table
"""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from runner.cli.check import CheckWorks, nothing_started
from runner.cli.status import print_sweep
from runner.cli.sweeps.console import SweepConsole
from runner.cli.sweeps.jobs import Performer, jobs_on_cluster, open_performer
from runner.cli.sweeps.launcher_node import is_of_cluster
from runner.cli.sweeps.mirror import Mirror
from runner.cli.sweeps.plan import (
    Plan,
    find_directory,
    grid_plan,
    names_of,
    options_of,
    record_of,
)
from runner.cli.sweeps.watchers import Retention, Together
from runner.cli.train import environment_of_user, train
from runner.config.axes import combine, read_axes
from runner.config.expand import expand
from runner.errors import ConfigError, Interrupted, RunError
from runner.run.lease import Lease
from runner.run.source.state import CodeState, code_of_process
from runner.runtime.signals import StopRequests
from runner.sweeps.checks.checking import Checker
from runner.sweeps.directory import SweepDirectory, is_sweep
from runner.sweeps.ledger import Combination, Ledger, read_ledger
from runner.sweeps.opening import change_of_code, changed_since
from runner.sweeps.pool import Home
from runner.sweeps.record import read_record, start_entry, write_record
from runner.sweeps.slurm.admission import check_admission
from runner.sweeps.source import Source
from runner.sweeps.summary import RunRow, SweepSummary, summarize
from runner.sweeps.watcher import JobsLeft, Watcher

Opener = Callable[[Sequence[Combination], Home], AbstractContextManager[Performer]]

_GOOD = ("completed", "pruned")
_OVER = (*_GOOD, "failed")
_only_check: ContextVar[bool] = ContextVar("only_check", default=False)


def sweep_grid(
    config: DictConfig,
    arguments: Sequence[str],
    launcher: Launcher,
    *,
    params: Mapping[str, Any],
    zip: Sequence[Sequence[str]],
    exclude: Sequence[Mapping[str, Any]],
) -> None:
    """Do every combination of the values that `arguments` name; Hydra's `-m` ends here.

    Raises ConfigError before anything is started; RunError at the end if runs failed.
    """
    options = options_of(config)
    fixed, axes = read_axes(arguments, params)
    composed = expand(fixed, combine(axes, zip=zip, exclude=exclude))
    record = record_of(config, arguments, names_of(axis.key for axis in axes), kind="grid")
    directory = find_directory(config, record)
    command = command_line()
    start_sweep(
        grid_plan(
            directory,
            record,
            options,
            composed,
            on_cluster=jobs_on_cluster(directory, launcher),
        ),
        partial(open_performer, launcher, config=config, fixed=fixed, command=command),
        command=command,
    )


def start_sweep(plan: Plan, open_jobs: Opener, *, command: Sequence[str]) -> None:
    """Check what `plan` will start, start it and see it to its end.

    Raises ConfigError before anything is started; RunError at the end if runs failed; Interrupted
    when it was asked to stop, after all jobs have saved.
    """
    is_elsewhere = is_of_cluster(plan.record.launcher)
    console = SweepConsole(plan.directory, is_of_cluster=is_elsewhere)
    code = code_of_process()
    console.preview(plan.wanted, plan.actions)
    for warning in _warnings(plan, code):
        console.say(warning)
    if plan.is_done:
        return _tell_end(plan)
    with environment_of_user(), StopRequests() as stop, open_jobs(plan.to_check, plan.home) as jobs:
        if plan.to_check or not plan.wanted:
            check(plan, jobs, console, stop)
        if _only_check.get():
            return None
        try:
            with held(plan.directory, stop):
                _do(plan, jobs, console, stop, start_entry(command=list(command), code=code))
        except JobsLeft as left:
            console.left(left)
            if stop.received is not None:
                raise Interrupted(stop.received) from left
            return None
        except RunError:
            console.remind()
            raise
    return _tell_end(plan)


def check_sweep(arguments: Sequence[str]) -> int:
    """Check the sweep that `arguments` describe, start nothing, and return the exit code."""
    token = _only_check.set(True)
    try:
        return train(arguments)
    finally:
        _only_check.reset(token)


def check(plan: Plan, jobs: Performer, console: SweepConsole, stop: StopRequests) -> None:
    """Check what will be started and say what was looked at; ConfigError for what is wrong."""
    if plan.options.check == "none":
        return
    console.say("checking ...")
    is_elsewhere = is_of_cluster(plan.record.launcher)
    works = CheckWorks(is_elsewhere=is_elsewhere)
    notes = check_admission(plan.to_check) if is_elsewhere else []  # it answers sooner
    with nothing_started(), jobs.lend_pool() as pool:
        checker = Checker(pool, works, options=plan.options, stop=stop)
        report = checker.check(plan.to_check, choices=plan.choices)
    for warning in [*report.warnings, *notes]:
        console.say(f"note: {warning}")
    tried = f", {len(report.facts)} of {report.num_kinds} kinds tried" if report.num_kinds else ""
    console.say(f"checked {report.combinations} configs{tried} in {report.seconds:.1f} s")


def command_line() -> list[str]:
    """Return the command that the user typed."""
    return ["python", "-m", "runner", *sys.argv[1:]]


@contextmanager
def held(directory: SweepDirectory, stop: StopRequests) -> Iterator[None]:
    """Hold the sweep's directory: no two starts of a sweep are at work at once."""
    lease = Lease(directory.lease, on_beat=lambda: None, stop=stop)
    try:
        lease.acquire()
    except OSError as error:
        raise ConfigError(f"{directory.path} cannot be made or used: {error}") from error
    try:
        yield
    finally:
        lease.release()


def _warnings(plan: Plan, code: CodeState) -> Iterator[str]:
    directory = plan.directory
    if is_sweep(directory.path):
        change = change_of_code(read_record(directory), code)
    else:
        change = changed_since(directory.path.parent, directory, plan.record)
    if change is not None:
        yield change


def _record_start(plan: Plan, start: dict[str, Any]) -> None:
    """Add this start to those of the sweep."""
    former = read_record(plan.directory).starts if is_sweep(plan.directory.path) else []
    plan.record.starts = [*former, start]


def _do(
    plan: Plan,
    jobs: Performer,
    console: SweepConsole,
    stop: StopRequests,
    start: dict[str, Any],
) -> None:
    """Do what is missing, for who holds the sweep."""
    ledger = Ledger(plan.directory.ledger)
    source = plan.open_source(ledger)
    # Behind the ledger, which alone says how long its runs are.
    _record_start(plan, start)
    _record_total(plan, ledger, source)
    if not plan.wanted:  # a search, which knows only now
        over = sum(row.state in _OVER for row in summarize(plan.directory).rows)
        console.expect(source.total, done=over)
    mirror = Mirror(plan.directory, plan.record)
    watchers: list[Watcher] = [console]
    if jobs.watches:  # else `sync` delivers, or a later start
        mirror.catch_up(ledger.runs)
        watchers.append(mirror)
    if plan.options.keep_best is not None:
        watchers.append(Retention(plan.directory, plan.options.keep_best))
    state = "failed"
    try:
        with console:
            jobs.perform(
                plan.directory,
                source,
                Together(watchers),
                stop,
                mirror.delivered_to,
                lambda: console.asks_to_cancel(stop.received),
            )
        _record_total(plan, ledger, source)
        state = "failed" if _failed(_wanted_rows(plan, summarize(plan.directory))) else "completed"
    except JobsLeft:
        state = "running"
        raise
    except (Interrupted, KeyboardInterrupt):
        state = "preempted"
        console.stopped()
        raise
    finally:
        mirror.close(state, summarize(plan.directory))


def _record_total(plan: Plan, ledger: Ledger, source: Source) -> None:
    """Write down how many runs the sweep has, those of other starts too."""
    plan.record.total = max(len(ledger.runs), source.total or 0)
    write_record(plan.directory, plan.record)


def _failed(rows: Sequence[RunRow]) -> list[RunRow]:
    return [row for row in rows if row.state not in _GOOD]


def _wanted_rows(plan: Plan, summary: SweepSummary) -> list[RunRow]:
    """Return the runs that this start is about; of a search all."""
    numbers = {run.key: run.number for run in read_ledger(plan.directory.ledger)}
    wanted = {numbers[run.key] for run in plan.wanted}
    return [row for row in summary.rows if not wanted or row.number in wanted]


def _tell_end(plan: Plan) -> None:
    """Show how every run stands; RunError if some of those that were wanted have failed."""
    summary = summarize(plan.directory)
    print_sweep(summary)
    if len(summary.rows) > 1:
        print(f"more of it: python -m runner report {shlex.quote(str(plan.directory.path))}")
    wanted = _wanted_rows(plan, summary)
    if failed := _failed(wanted):
        path, again = plan.directory.path, ""
        if plan.options.retry != "none":
            again = f"; the same command, or python -m runner resume {path}, tries them again"
        raise RunError(f"{len(failed)} of {len(wanted)} runs did not complete{again}")

"""Start or continue a search: a sweep whose runs are proposed one after the other."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from runner.cli.sweeps.jobs import has_pool, jobs_on_cluster, open_performer
from runner.cli.sweeps.plan import (
    Plan,
    combination_of,
    find_directory,
    judge_by,
    names_of,
    options_of,
    record_of,
)
from runner.cli.sweeps.start import command_line, start_sweep
from runner.config.expand import Expander
from runner.config.space import Interval, Space
from runner.config.spaces import read_search
from runner.errors import ConfigError
from runner.run.status import Status
from runner.sweeps.decisions import decide
from runner.sweeps.ledger import Combination, Ledger, PlannedRun
from runner.sweeps.search.options import SearchOptions, check_search
from runner.sweeps.source import Source


def sweep_search(
    config: DictConfig,
    arguments: Sequence[str],
    launcher: Launcher,
    *,
    kind: str,
    params: Mapping[str, Any],
    options: SearchOptions,
) -> None:
    """Search what `arguments` name; `kind` is random or optuna.

    Raises ConfigError before anything is started; RunError at the end if runs failed.
    """
    search = read_search(arguments, params)
    record = record_of(config, arguments, names_of(search.spaces), kind=kind)
    record.objectives = dict(options.objectives)
    record.total = options.n_trials
    if not has_pool(launcher):
        raise ConfigError(
            f"hydra/sweeper={kind} asks for one run after the other, which this launcher cannot: "
            "use hydra/launcher=local"
        )
    sweep, expander = options_of(config), Expander(search.fixed)
    tried = [expander.compose(_overrides(values)) for values in corners(search.spaces)]
    judge_by(record, [composed.frozen for composed in tried], sweep)
    if not record.best_mode:
        raise ConfigError(
            "a search follows one score, and its runs have several (trainer.best_metric, "
            "best_mode): search without the keys that change it"
        )
    check_search(options, best_metric=record.best_metric, spaces=search.spaces)
    directory = find_directory(config, record)
    jobs_on_cluster(directory, launcher)  # this one must not start them a second time
    if not getattr(launcher, "watches", True):
        raise ConfigError(
            f"hydra.launcher.wait=false: hydra/sweeper={kind} proposes runs as others have ended, "
            "which somebody has to watch: leave it out"
        )

    def combine(values: Mapping[str, str]) -> Combination:
        return combination_of(expander.compose(_overrides(values)), record)

    def open_source(ledger: Ledger) -> Source:
        from runner.sweeps.search.source import open_search  # imports optuna

        return open_search(
            directory,
            options=options,
            spaces=search.spaces,
            ledger=ledger,
            combine=combine,
            wants=partial(_wants, retry=sweep.retry),
            best_metric=record.best_metric,
            best_mode=record.best_mode,
        )

    plan = Plan(
        directory=directory,
        record=record,
        options=sweep,
        wanted=[],
        actions={},
        to_check=[combination_of(composed, record) for composed in tried],
        choices=[composed.choices for composed in tried],
        open_source=open_source,
    )
    command = command_line()
    start_sweep(
        plan,
        partial(open_performer, launcher, config=config, fixed=search.fixed, command=command),
        command=command,
    )


def _overrides(values: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in values.items()]


def corners(spaces: Mapping[str, Space]) -> list[dict[str, str]]:
    """Return combinations in which every choice and every end of an interval comes once."""
    texts = {key: _ends(space) for key, space in spaces.items()}
    longest = max(len(ends) for ends in texts.values())
    return [
        {key: ends[min(i, len(ends) - 1)] for key, ends in texts.items()} for i in range(longest)
    ]


def _ends(space: Space) -> list[str]:
    if isinstance(space, Interval):
        return [space.text_of(space.low), space.text_of(space.high)]
    return list(space.values)


def _wants(run: PlannedRun, status: Status | None, *, retry: str) -> bool:  # noqa: ARG001
    return decide(status, retry=retry).starts

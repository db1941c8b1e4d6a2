"""What a start of a sweep is about: its identity, its place, and the runs that it wants."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.config.axes import name_of
from runner.config.checks import refuse
from runner.config.expand import Composed
from runner.config.frozen import OF_SWEEPS, freeze_open
from runner.config.locate import user_confs
from runner.config.options import SweepOptions
from runner.config.validate import read_options
from runner.errors import ConfigError
from runner.run.status import Status, read_status
from runner.sweeps.decisions import Action, decide
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.identity import run_key, sweep_key
from runner.sweeps.ledger import Combination, Ledger, PlannedRun, read_ledger
from runner.sweeps.opening import change_of_length, check_same_sweep, place_of, sweep_name
from runner.sweeps.pool import Home
from runner.sweeps.record import SweepRecord
from runner.sweeps.source import ListSource, Source

_SUBDIR = "${hydra.job.num}"
_STAMP = "${start:}"  # in hydra.sweep.dir: where the name of the sweep goes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One start of a sweep, before anything is written."""

    directory: SweepDirectory
    record: SweepRecord
    options: SweepOptions
    wanted: list[Combination]  # the runs that are known before the start: none of a search
    actions: dict[str, Action]  # what is to be done with each of them, by key, as things stand
    to_check: list[Combination]
    choices: list[dict[str, str]]  # the members of groups that each of those was made of
    open_source: Callable[[Ledger], Source]

    @property
    def home(self) -> Home:
        """Where a pool keeps what outlives it."""
        return Home(
            name=f"{self.record.name}.{self.directory.path.name}",
            book=self.directory.slurm,
            folder=self.directory.slurm_folder,
            is_search=not self.wanted,
        )

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to start."""
        return bool(self.wanted) and not any(action.starts for action in self.actions.values())


def actions_of(
    directory: SweepDirectory,
    wanted: Sequence[Combination],
    decide: Callable[[Status | None], Action],
    on_cluster: Set[int],
) -> dict[str, Action]:
    """Return what is to be done with each run, by key, as its own directory tells."""
    numbers = {run.key: run.number for run in read_ledger(directory.ledger)}
    statuses = {key: read_status(directory.job(number)) for key, number in numbers.items()}
    watched = {key for key, number in numbers.items() if number in on_cluster}
    return {
        run.key: Action.WATCH if run.key in watched else decide(statuses.get(run.key))
        for run in wanted
    }


def grid_plan(
    directory: SweepDirectory,
    record: SweepRecord,
    options: SweepOptions,
    composed: Sequence[Composed],
    *,
    on_cluster: Set[int] = frozenset(),
) -> Plan:
    """Return the plan of a sweep whose runs are all known; ConfigError if they are not those."""
    runs = {run.key: run for run in (combination_of(one, record) for one in composed)}
    if not runs:
        raise ConfigError("hydra.sweeper.exclude leaves no run at all: exclude less")
    check_lengths(directory, list(runs.values()))
    judge_by(record, [run.config for run in runs.values()], options)
    choices = {one.overrides: one.choices for one in composed}
    return plan_of(
        directory,
        record,
        options,
        list(runs.values()),
        decision=partial(decide, retry=options.retry),
        choices=[choices[run.overrides] for run in runs.values()],
        on_cluster=on_cluster,
    )


def plan_of(
    directory: SweepDirectory,
    record: SweepRecord,
    options: SweepOptions,
    wanted: Sequence[Combination],
    *,
    decision: Callable[[Status | None], Action],
    choices: Sequence[dict[str, str]],
    before: Callable[[Sequence[PlannedRun]], None] = lambda _: None,
    on_cluster: Set[int] = frozenset(),
) -> Plan:
    """Return the plan for these runs; `before` is called with those that will start.

    What starts has the config that is wanted now: it may differ from the ledger's in its layout.
    Jobs that are `on_cluster` already, by the number of their run, keep what they have.
    """

    def find_actions() -> dict[str, Action]:
        return actions_of(directory, wanted, decision, on_cluster)

    def open_source(ledger: Ledger) -> Source:
        planned = ledger.add(wanted)
        actions = find_actions()  # another start may have come between
        watched = [run for run in planned if actions[run.key] is Action.WATCH]
        starting = [
            replace(there, config=run.config)
            for there, run in zip(planned, wanted, strict=True)
            if actions[run.key].starts and actions[run.key] is not Action.WATCH
        ]
        before(starting)
        ledger.replace(starting)
        return ListSource([*watched, *starting], total=len(planned))

    actions = find_actions()
    to_check = [
        (run, members)
        for run, members in zip(wanted, choices, strict=True)
        if actions[run.key].starts and actions[run.key] is not Action.WATCH
    ]
    return Plan(
        directory=directory,
        record=record,
        options=options,
        wanted=list(wanted),
        actions=actions,
        to_check=[run for run, _ in to_check],
        choices=[members for _, members in to_check],
        open_source=open_source,
    )


def check_lengths(directory: SweepDirectory, wanted: Sequence[Combination]) -> None:
    """Raise ConfigError when runs that are there have another length than the one wanted now."""
    planned = {run.key: run for run in read_ledger(directory.ledger)}
    for run in wanted:
        there = planned.get(run.key)
        if there is not None:
            refuse(change_of_length(directory, there.config, run.config))


def judge_by(
    record: SweepRecord, configs: Sequence[Mapping[str, Any]], options: SweepOptions
) -> None:
    """Let `record` say by which metric the runs are judged; by none if they do not agree."""
    metrics = {(c["trainer"]["best_metric"], c["trainer"]["best_mode"]) for c in configs}
    record.best_metric, record.best_mode = metrics.pop() if len(metrics) == 1 else ("", "")
    if not record.best_mode and options.keep_best is not None:
        raise ConfigError(
            "sweep.keep_best needs one score to tell which runs are the best, and the runs of this "
            "sweep have several (trainer.best_metric, best_mode): leave it out"
        )


def options_of(config: DictConfig) -> SweepOptions:
    """Return the options of the sweep; ConfigError for what is wrong with them."""
    node = OmegaConf.to_container(config.sweep, resolve=True)
    if not isinstance(node, dict):
        raise ConfigError(f"sweep must be a group of keys, got {node!r}")
    return read_options(SweepOptions, {str(key): value for key, value in node.items()}, "sweep")


def record_of(
    config: DictConfig, arguments: Sequence[str], names: Sequence[str], *, kind: str
) -> SweepRecord:
    """Return what the sweep is that `config` (Hydra's, composed without its axes) describes."""
    base = freeze_open(config)
    return SweepRecord(
        key=sweep_key(base, swept=names),
        name=str(config.name),
        swept=list(names),
        base=base,
        kind=kind,
        arguments=[
            *_own_hydra_overrides(config),
            *(text for text in arguments if not text.startswith("fresh=")),
        ],
        confs=[str(folder) for folder in user_confs()],
        options=_plain(config.sweep),
        sweeper=_plain(config.hydra.sweeper),
        launcher=_plain(config.hydra.launcher),
    )


def names_of(keys: Iterable[str]) -> list[str]:
    """Return the keys of the config that overrides of these `keys` (+model.x) vary, sorted."""
    names = {name_of(key) for key in keys}
    refuse(*(_own_key(name) for name in sorted(names)))
    return sorted(names)


def _own_key(name: str) -> str | None:
    if name.split(".")[0] not in OF_SWEEPS:
        return None
    return f"{name} says how the sweep goes, so it cannot be swept: give it one value"


def combination_of(composed: Composed, record: SweepRecord) -> Combination:
    """Return a composed run as one of the sweep."""
    pairs = (override.split("=", 1) for override in composed.overrides)
    presets = {
        name_of(key): value
        for key, value in pairs
        if name_of(key).split(".")[0] not in composed.frozen
    }
    key = run_key(composed.frozen, swept=record.swept, presets=presets)
    return Combination(key=key, overrides=composed.overrides, config=composed.frozen)


def find_directory(config: DictConfig, record: SweepRecord) -> SweepDirectory:
    """Return where the sweep is or will be; ConfigError if another sweep is there."""
    raw = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    assert isinstance(raw, dict)
    if raw["subdir"] != _SUBDIR:
        raise ConfigError(
            f"hydra.sweep.subdir={raw['subdir']}: runner numbers the runs of a sweep itself, so "
            "that it can continue them; leave it out"
        )
    where, fresh = str(raw["dir"]), config.get("fresh", False)
    if not isinstance(fresh, bool):
        raise ConfigError(f"fresh must be true or false, got {fresh!r}")
    if _STAMP in where:
        name = config.sweep.name or sweep_name(record.key, record.swept)
        path = _resolved(config, where.replace(_STAMP, name))
        directory = place_of(path.parent, path.name, fresh=fresh)
    else:
        path = _resolved(config, where)
        directory = place_of(path.parent, path.name, fresh=True) if fresh else SweepDirectory(path)
    check_same_sweep(directory, record)
    return directory


def _resolved(config: DictConfig, where: str) -> Path:
    with_path = config.copy()
    OmegaConf.update(with_path, "hydra.sweep.dir", where)
    return Path(str(with_path.hydra.sweep.dir))


def _own_hydra_overrides(config: DictConfig) -> list[str]:
    """Return what the user typed of Hydra's own keys, but for where the sweep is."""
    left_out = ("hydra.mode=", "hydra.sweep.dir=")
    return [text for text in config.hydra.overrides.hydra if not text.startswith(left_out)]


def _plain(node: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}

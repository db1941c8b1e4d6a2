"""How the jobs of a sweep are done: through the pool of a launcher of ours, or by another launcher.

A pool takes jobs with frozen configs as there is room, and tells how each ended. A launcher that
has none (Hydra's basic one, joblib's) composes its jobs itself and returns when all have ended.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import Any, Protocol

from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, open_dict

from runner.cli.check import checking_pool
from runner.cli.preload import TRAINING
from runner.config.overrides import quoted
from runner.errors import ConfigError, Interrupted, RunError
from runner.job.ordered import OrderedJob
from runner.run.status import read_status
from runner.runtime.signals import StopRequests
from runner.sweeps.checks.checking import targets_of
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.drive import Drive
from runner.sweeps.ledger import Combination, PlannedRun
from runner.sweeps.outcomes import Outcome
from runner.sweeps.pool import Home, Limits, Pool
from runner.sweeps.source import Source
from runner.sweeps.watcher import Watcher

_log = logging.getLogger(__name__)

_OUR_ROOTS = ("runner.", "torch.")  # others may do at import what a fork does not go with
_IMPORTED_LATER = {
    "runner.training.callbacks.learning_curves": "runner.reports.curves",
    "runner.training.callbacks.sample_pictures": "runner.reports.samples",
}


_ENDS = {
    "completed": Outcome.COMPLETED,
    "pruned": Outcome.PRUNED,
    "preempted": Outcome.STOPPED,
}


class Performer(Protocol):
    """Does the runs of a sweep, and has a place to check them in."""

    @property
    def watches(self) -> bool:
        """Return whether it waits for the ends of the jobs."""
        ...

    def lend_pool(self) -> AbstractContextManager[Pool]:
        """Return a pool to check in."""
        ...

    def perform(
        self,
        directory: SweepDirectory,
        source: Source,
        watcher: Watcher,
        stop: StopRequests,
        delivered_to: Mapping[str, str],
        cancels: Callable[[], bool],
    ) -> None:
        """Do all runs that `source` gives; raise Interrupted when `stop` was asked to.

        `delivered_to` are the trackers that the jobs hand over to (see TrackedRun); `cancels` is
        asked at a stop whether to cancel jobs that would live on. Raises JobsLeft if they do.
        """
        ...


@contextmanager
def open_performer(
    launcher: Launcher,
    runs: Sequence[Combination],
    home: Home,
    *,
    config: DictConfig,
    fixed: Sequence[str],
    command: Sequence[str],
) -> Iterator[Performer]:
    """Open what does the jobs of `runs`, or of others like them: the pool of `launcher`, or it."""
    if has_pool(launcher):
        with open_pooled(launcher, runs, home, command) as jobs:
            yield jobs
    else:
        yield ForeignJobs(launcher, config, fixed)


def jobs_on_cluster(directory: SweepDirectory, launcher: Any) -> set[int]:
    """Return the runs of a sweep whose jobs wait or run on a cluster, where `launcher` finds them.

    Raises ConfigError when there are some, and `launcher` would start them a second time.
    """
    if not directory.slurm.exists():
        return set()
    from runner.sweeps.slurm.pool import jobs_at_work

    is_clusters = hasattr(launcher, "is_of_cluster")
    try:
        numbers = jobs_at_work(directory.slurm)
    except RunError as error:
        if is_clusters:
            raise
        _log.warning("jobs of this sweep may still be on the cluster: %s", error)
        return set()
    if numbers and not is_clusters:
        raise ConfigError(
            f"{len(numbers)} runs of {directory.path} wait or run on the cluster: go on there "
            "(hydra/launcher=slurm), or end them first: python -m runner cancel "
            f"{directory.path}"
        )
    return numbers


def modules_of(runs: Iterable[Combination]) -> list[str]:
    """Return what the jobs of `runs` import, as far as it is safe to have it before a fork."""
    modules = {
        target.rpartition(".")[0]
        for run in runs
        for target in targets_of(run.config)
        if target.startswith(_OUR_ROOTS)
    }
    return [*TRAINING, *sorted(modules | {_IMPORTED_LATER.get(m, m) for m in modules})]


def has_pool(launcher: object) -> bool:
    """Return whether a launcher, or its class, is one of ours."""
    return hasattr(launcher, "open_pool")


@contextmanager
def open_pooled(
    launcher: Any, runs: Sequence[Combination], home: Home, command: Sequence[str]
) -> Iterator[Performer]:
    """Open the pool of a launcher of ours."""
    with closing(launcher.open_pool(preload=modules_of(runs), home=home)) as pool:
        yield PooledJobs(
            pool,
            command,
            limits=launcher.limits,
            retries=launcher.retries,
            watches=launcher.watches,
        )


class PooledJobs:
    """Does runs through a pool; a run that was killed or lost is tried `retries` times more."""

    def __init__(
        self, pool: Pool, command: Sequence[str], *, limits: Limits, retries: int, watches: bool
    ) -> None:
        self._pool = pool
        self._command = tuple(command)
        self._limits = limits
        self._retries = retries
        self.watches = watches

    def lend_pool(self) -> AbstractContextManager[Pool]:
        """Return the pool itself, or one of this machine for that of a cluster."""
        return checking_pool() if self._pool.outlives else nullcontext(self._pool)

    def perform(
        self,
        directory: SweepDirectory,
        source: Source,
        watcher: Watcher,
        stop: StopRequests,
        delivered_to: Mapping[str, str],
        cancels: Callable[[], bool],
    ) -> None:
        drive = Drive(
            directory=directory,
            source=source,
            pool=self._pool,
            work_of=lambda run: OrderedJob(
                config=run.config,
                path=directory.job(run.number).path,
                overrides=run.overrides,
                command=self._command,
                pruning=source.pruning_of(run),
                delivered_to=self._handed_over(delivered_to),
            ),
            watcher=watcher,
            retries=self._retries,
            limits=self._limits,
            watches=self.watches,
            cancels=cancels,
        )
        drive.run(stop)

    def _handed_over(self, delivered_to: Mapping[str, str]) -> dict[str, str]:
        """Return the trackers that the jobs leave to this process.

        Jobs on a cluster deliver to a server themselves, since nobody may be watching them.
        """
        from runner.trackers.mlflow.uri import hands_over

        return {
            written: address
            for written, address in delivered_to.items()
            if not self._pool.outlives or hands_over(address)
        }


class ForeignJobs:
    """Does runs through a launcher that is not ours, all at once."""

    watches = True

    def __init__(self, launcher: Launcher, config: DictConfig, fixed: Sequence[str]) -> None:
        self._launcher = launcher
        self._config = config
        self._fixed = list(fixed)

    def lend_pool(self) -> AbstractContextManager[Pool]:
        return checking_pool()

    def perform(
        self,
        directory: SweepDirectory,
        source: Source,
        watcher: Watcher,
        stop: StopRequests,
        delivered_to: Mapping[str, str],  # noqa: ARG002 - its jobs are Hydra's: they deliver themselves
        cancels: Callable[[], bool],  # noqa: ARG002 - they end with it
    ) -> None:
        runs, jobs = [], []
        while (run := source.take()) is not None:
            watcher.began(run, None)
            path = quoted(str(directory.path))
            where = [f"hydra.sweep.dir={path}", f"hydra.sweep.subdir={run.number}"]
            jobs.append([*self._fixed, *run.overrides, *where])
            runs.append(run)
        with open_dict(self._config):
            self._config.hydra.sweep.dir = str(directory.path)
        try:
            self._launcher.launch(jobs, initial_job_idx=0)
        finally:
            self._tell_ends(directory, runs, watcher)
        if stop.received is not None:
            raise Interrupted(stop.received)

    def _tell_ends(
        self, directory: SweepDirectory, runs: Sequence[PlannedRun], watcher: Watcher
    ) -> None:
        """Tell how each run stands, all of them at once: the launcher told nothing on the way."""
        for run in runs:
            status = read_status(directory.job(run.number))
            if status is not None:  # else it never began
                watcher.ended(run, _ENDS.get(status.state, Outcome.ERROR), status)

"""Runs the jobs of any Hydra application in the pool of a launcher of ours.

Each is composed here, so that what is edited while it waits changes nothing.
"""

import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import (
    JobReturn,
    JobStatus,
    configure_log,
    filter_overrides,
    setup_globals,
)
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from runner.cli.jobs import Jobs
from runner.cli.preload import TORCH, TRAINING
from runner.cli.sweeps.launched import LaunchedJob, pickled_hydra
from runner.cli.sweeps.launchers import LauncherOptions
from runner.config.frozen import freeze_open
from runner.errors import ConfigError
from runner.run.directory import RunDirectory
from runner.runtime.signals import StopRequests
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.pool import Ended, Home, Limits, Pool, RunOfJob

_LOOK_SECONDS = 0.2  # between two looks for a signal to this process

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Application:
    """A Hydra application that was started with --multirun."""

    config: DictConfig
    context: HydraContext
    function: TaskFunction

    @property
    def jobs(self) -> Jobs | None:
        """Return the jobs of runner's own command line; None for another application."""
        owner = getattr(self.function, "__self__", None)
        return owner if isinstance(owner, Jobs) else None


def launch(
    job_overrides: Sequence[Sequence[str]],
    *,
    first: int,
    application: Application,
    options: LauncherOptions,
    watches: bool,
) -> list[JobReturn]:
    """Run a job for each of `job_overrides`, numbered from `first`; return what they returned.

    A stop signal is passed on to the jobs, which get the time to save; then this process ends.
    ConfigError unless it `watches`.
    """
    if not watches:
        raise ConfigError(
            "hydra.launcher.wait=false: Hydra's own sweepers want to hear what each job returned, "
            "and nothing comes back to jobs that were left: leave out this, or hydra/sweeper"
        )
    setup_globals()
    hydra = application.config.hydra
    configure_log(hydra.hydra_logging, hydra.verbose)
    sweep = SweepDirectory(Path(str(hydra.sweep.dir)))
    sweep.path.mkdir(parents=True, exist_ok=True)
    home = Home(name=str(hydra.job.name), book=sweep.slurm, folder=sweep.slurm_folder)
    with (
        StopRequests() as stop,
        # Beside the jobs: those of a cluster see no other machine's temporary files.
        tempfile.TemporaryDirectory(prefix=".launch_", dir=sweep.path) as folder,
        closing(options.open_pool(preload=_modules_of(application), home=home)) as pool,
    ):
        batch = _Batch(application, pool, limits=options.limits, folder=Path(folder), stop=stop)
        returned = batch.run(job_overrides, first=first)
    if stop.received is not None:
        stop.forward()
        raise (
            KeyboardInterrupt if stop.received == signal.SIGINT else SystemExit(128 + stop.received)
        )
    return returned


def _modules_of(application: Application) -> tuple[str, ...]:
    """Return what the jobs will import, as far as that can be known."""
    if application.jobs is not None:
        return (__name__, *TRAINING)
    return (__name__, *(TORCH if "torch" in sys.modules else ()))


class _Batch:
    """The jobs of one call of `launch`."""

    def __init__(
        self,
        application: Application,
        pool: Pool,
        *,
        limits: Limits,
        folder: Path,
        stop: StopRequests,
    ) -> None:
        self._application = application
        self._pool = pool
        self._limits = limits
        self._folder = folder
        self._stop = stop
        self._hydra = pickled_hydra(application.context, application.function)
        self._running: dict[int, LaunchedJob] = {}
        self._returned: dict[int, JobReturn] = {}

    def run(self, job_overrides: Sequence[Sequence[str]], *, first: int) -> list[JobReturn]:
        """Run all, or fewer if a stop was asked for; the pool lets those wait that have no room."""
        _log.info("Launching %d jobs", len(job_overrides))
        try:
            for number, overrides in enumerate(job_overrides, first):
                if self._stop.received is None:
                    self._submit(number, overrides)
            while self._running and self._stop.received is None:
                self._collect(self._pool.poll(_LOOK_SECONDS))
        finally:
            if self._pool.outlives and self._running:
                self._take_back()
        return [self._returned[number] for number in sorted(self._returned)]

    def _take_back(self) -> None:
        """Cancel the jobs that are left, and wait for them: nothing could come back to them."""
        _log.warning("cancelling %d jobs: those at work save and leave", len(self._running))
        for number in self._running:
            self._pool.stop(number)
        while self._running:
            for ended in self._pool.poll(_LOOK_SECONDS):
                self._running.pop(ended.number, None)

    def _submit(self, number: int, overrides: Sequence[str]) -> None:
        _log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        job, run = self._compose(number, overrides)
        self._running[number] = job
        self._pool.submit(
            number, job, log=job.log, slots=self._slots_of(job.config), limits=self._limits, run=run
        )
        if not self._pool.outlives:  # a cluster is sent all at once, as an array
            self._collect(self._pool.poll(0.0))

    def _compose(
        self, number: int, overrides: Sequence[str]
    ) -> tuple[LaunchedJob, RunOfJob | None]:
        """Return a job, and its run where that is one of ours: what it asks for stands there."""
        application = self._application
        config = application.context.config_loader.load_sweep_config(
            application.config, list(overrides)
        )
        with open_dict(config):
            config.hydra.job.id = number
            config.hydra.job.num = number
        before = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(config)
        try:
            folder = Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)).absolute()
            run = None
            if application.jobs is not None:
                run = RunOfJob(directory=folder, config=freeze_open(config))
        finally:
            HydraConfig.instance().cfg = before
        job = LaunchedJob(
            hydra=self._hydra,
            config=config,
            log=RunDirectory(folder).logs / "console.log",
            result=self._folder / str(number),
        )
        return job, run

    def _slots_of(self, config: DictConfig) -> int:
        if self._application.jobs is None:
            return 1
        return OmegaConf.select(config, "hardware.num_processes") or 1

    def _collect(self, ended: Sequence[Ended]) -> None:
        for end in ended:
            job = self._running.pop(end.number)
            returned = job.returned(end)
            self._returned[end.number] = returned
            failed = returned.status == JobStatus.FAILED
            error = returned._return_value if failed else None
            if (jobs := self._application.jobs) is not None:
                jobs.ended_elsewhere(f"job {end.number} ({' '.join(job.overrides)})", error)
            elif failed:
                _log.error("#%d failed: %s", end.number, error)

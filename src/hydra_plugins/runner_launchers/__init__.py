"""Tells Hydra of the launcher `local`: `hydra/launcher=local` runs several jobs at once, here.

Hydra imports this for every command, also for --help: what is heavy is imported when it is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from runner.sweeps.pool import Limits, Pool


@dataclass
class LocalLauncherConf:
    """The node `hydra.launcher`."""

    _target_: str = "hydra_plugins.runner_launchers.LocalLauncher"
    slots: int | None = None  # jobs at once; null: jobs_per_gpu for each GPU, else one a core
    jobs_per_gpu: int = 1
    retries: int = 3  # by runner's own sweepers, of a run that was killed or lost
    time_limit: str | None = None  # of a job, such as "2 hours"; then it is asked to stop
    grace: str = "30 seconds"  # between asked to stop and killed


ConfigStore.instance().store(
    group="hydra/launcher", name="local", node=LocalLauncherConf, provider="runner"
)


class LocalLauncher(Launcher):
    """Runs jobs in processes of this machine, forked from a server; for any Hydra application."""

    def __init__(
        self,
        *,
        slots: int | None = None,
        jobs_per_gpu: int = 1,
        retries: int = 3,
        time_limit: str | None = None,
        grace: str = "30 seconds",
    ) -> None:
        self.retries = retries
        self._node = {
            "slots": slots,
            "jobs_per_gpu": jobs_per_gpu,
            "retries": retries,
            "time_limit": time_limit,
            "grace": grace,
        }

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hear of the application; ConfigError if the node `hydra.launcher` asks the impossible."""
        from runner.cli.sweeps.launching import Application

        self._options()
        self._application = Application(
            config=config, context=hydra_context, function=task_function
        )

    @property
    def limits(self) -> Limits:
        """Return what each job may use."""
        return self._options().limits

    def open_pool(self, *, preload: Sequence[str]) -> Pool:
        """Return a new pool, which imports the modules `preload` for its jobs; close it.

        It needs no `setup`: a sweep is resumed without its application's config.
        """
        return self._options().open_pool(preload=preload)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run a job for each of `job_overrides` and return what they returned, in their order."""
        from runner.cli.sweeps.launching import launch

        return launch(
            job_overrides,
            first=initial_job_idx,
            application=self._application,
            options=self._options(),
        )

    def _options(self) -> Any:  # LauncherOptions, imported when it is needed
        from runner.cli.sweeps.launching import LauncherOptions

        return LauncherOptions(**self._node)

"""Tells Hydra of the launchers `local` (several jobs at once, here) and `slurm` (on a cluster).

Hydra imports this for every command, also for --help: what is heavy is imported when it is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from runner.sweeps.pool import Home, Limits, Pool


@dataclass
class LocalLauncherConf:
    """The node `hydra.launcher`."""

    _target_: str = "hydra_plugins.runner_launchers.LocalLauncher"
    slots: int | None = None  # jobs at once; null: jobs_per_gpu for each GPU, else one a core
    jobs_per_gpu: int = 1
    retries: int = 3  # by runner's own sweepers, of a run that was killed or lost
    time_limit: str | None = None  # of a job, such as "2 hours"; then it is asked to stop
    grace: str = "30 seconds"  # between asked to stop and killed


@dataclass
class SlurmLauncherConf:
    """The node `hydra.launcher`; what a job asks of the cluster stands in hardware.slurm."""

    _target_: str = "hydra_plugins.runner_launchers.SlurmLauncher"
    retries: int = 5  # jobs of a run in a row that gain no step, before it is given up
    wait: bool = True  # watch until all have ended; false: submit and leave
    array_parallelism: int | None = None  # jobs of an array at once; null: all, of a search 16
    warning: str = "2 minutes"  # before its time limit a job is told to save and come back
    snapshot_code: bool = False  # run the code as it is at submission, whatever becomes of it


for _name, _node in (("local", LocalLauncherConf), ("slurm", SlurmLauncherConf)):
    ConfigStore.instance().store(group="hydra/launcher", name=_name, node=_node, provider="runner")


class RunnerLauncher(Launcher):
    """Runs the jobs of any Hydra application through a pool; subclasses say which."""

    options_class: ClassVar[str]  # in runner.cli.sweeps.launchers, imported when it is needed

    def __init__(self, **node: Any) -> None:
        self.retries: int = node["retries"]
        self._node = node

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
    def watches(self) -> bool:
        """Return whether a sweep waits until its jobs have ended."""
        return self._node.get("wait", True)

    @property
    def limits(self) -> Limits:
        """Return what each job may use."""
        return self._options().limits

    def open_pool(self, *, preload: Sequence[str], home: Home) -> Pool:
        """Return a new pool, which imports the modules `preload` for its jobs; close it.

        It needs no `setup`: a sweep is resumed without its application's config.
        """
        return self._options().open_pool(preload=preload, home=home)

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
            watches=self.watches,
        )

    def _options(self) -> Any:  # LauncherOptions
        from runner.cli.sweeps import launchers

        return getattr(launchers, self.options_class)(**self._node)


class LocalLauncher(RunnerLauncher):
    """Runs jobs in processes of this machine, forked from a server."""

    options_class = "LocalOptions"


class SlurmLauncher(RunnerLauncher):
    """Runs jobs on a SLURM cluster, through submitit."""

    options_class = "SlurmLauncherOptions"
    is_of_cluster = True

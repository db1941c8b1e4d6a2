"""The jobs that Hydra starts: each config is validated and run, and what fails is told."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from runner.cli.ranks import agreed_stamp, is_terminal_mine
from runner.cli.sweeps.launcher_node import is_of_cluster
from runner.config import resolvers
from runner.config.locate import make_user_code_importable
from runner.errors import ConfigError, DataError, RunError, RunnerError
from runner.run.directory import RunDirectory
from runner.run.secrets import print_traceback, redacted


class Jobs:
    """Runs the jobs that Hydra starts, one for each composed config, and remembers what failed."""

    def __init__(self, *, command: Sequence[str]) -> None:
        self._command = list(command)
        self._is_sweep = False
        self.started = 0
        self.failures: list[Exception] = []

    def run(self, cfg: DictConfig) -> float | None:
        """Run the job of `cfg` and return its score; Hydra calls this."""
        # Again, for launchers that call this in a process of their own.
        resolvers.register(stamp=agreed_stamp)
        make_user_code_importable()
        hydra_cfg = HydraConfig.get()
        self._is_sweep = hydra_cfg.mode == RunMode.MULTIRUN
        self.started += 1
        overrides = list(hydra_cfg.overrides.task)
        try:
            return _run_one(cfg, overrides=overrides, command=self._command)
        except Exception as error:
            self.failures.append(error)
            if not self._is_sweep:
                return None  # told by exit_code; Hydra would print lines of its own
            _print_failure(f"job {hydra_cfg.job.num} ({' '.join(overrides)})", error)
            raise

    def ended_elsewhere(self, name: str, error: Exception | None) -> None:
        """Hear of a job of a sweep that a launcher has run in a process of its own."""
        self._is_sweep = True
        self.started += 1
        if error is not None:
            self.failures.append(error)
            _print_failure(name, error)

    def exit_code(self) -> int:
        """Return 0, or raise the failure of the one run, or tell those of a sweep."""
        if not self.failures:
            return 0
        if not self._is_sweep:
            raise self.failures[0]
        if is_terminal_mine():
            print(f"{len(self.failures)} of {self.started} jobs failed", file=sys.stderr)
        codes = {getattr(error, "exit_code", 1) for error in self.failures}
        return codes.pop() if len(codes) == 1 else 1


def _run_one(cfg: DictConfig, *, overrides: list[str], command: list[str]) -> float | None:
    # Not before: --help and --cfg stay light.
    from runner.config.threads import threads_of_run
    from runner.config.validate import validate
    from runner.job.job import run_job

    hydra_cfg = HydraConfig.get()
    directory = Path(hydra_cfg.runtime.output_dir)
    if cfg.get("fresh") is True:
        directory = beside(directory)
    try:
        threads = threads_of_run(RunDirectory(directory).config)
        choices = dict(hydra_cfg.runtime.choices)
        config = validate(cfg, choices=choices, threads=threads)
        if hydra_cfg.mode == RunMode.RUN and is_of_cluster(hydra_cfg.launcher):
            return _run_on_cluster(cfg, directory, overrides=overrides, command=command)
        return run_job(config, directory, overrides=overrides, command=command)
    except (ConfigError, DataError, RunError):
        _remove_if_empty(directory, directory.parent)
        raise


def _run_on_cluster(
    cfg: DictConfig, directory: Path, *, overrides: list[str], command: list[str]
) -> float | None:
    from runner.cli.cluster.run import ClusterRun
    from runner.cli.sweeps.plan import options_of
    from runner.config.frozen import freeze_open

    hydra_cfg = HydraConfig.get()
    launcher = OmegaConf.to_container(hydra_cfg.launcher, resolve=True)
    assert isinstance(launcher, dict)
    run = ClusterRun(
        directory=directory,
        config=freeze_open(cfg),
        launcher={str(key): value for key, value in launcher.items()},
        overrides=overrides,
        command=command,
    )
    return run.submit(dict(hydra_cfg.runtime.choices), options_of(cfg))


def beside(directory: Path) -> Path:
    """Return `directory`, or if a run is there the first of DIRECTORY_2, _3, ... without one."""
    number, candidate = 1, directory
    while RunDirectory(candidate).config.exists():
        number += 1
        candidate = directory.with_name(f"{directory.name}_{number}")
    return candidate


def _print_failure(name: str, error: Exception) -> None:
    if not is_terminal_mine():
        return
    if isinstance(error, RunnerError):
        print(redacted(f"{name} failed: {error}"), file=sys.stderr)
    else:
        print(f"{name} failed:", file=sys.stderr)
        print_traceback(error)


def _remove_if_empty(*folders: Path) -> None:
    """Take back the folders that Hydra made for a run that never began."""
    for folder in folders:
        if folder.resolve() != Path.cwd():
            with suppress(OSError):
                folder.rmdir()

"""One run on a cluster, without -m: check it, submit it, watch it; come back to it later."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from runner.cli.check import check_config
from runner.cli.cluster.console import RunConsole
from runner.cli.cluster.feeding import RunFeeding
from runner.cli.sweeps.asking import asks_to_cancel
from runner.cli.sweeps.launcher_node import changed_launcher, is_of_cluster
from runner.config.frozen import from_frozen, with_layout
from runner.config.options import SweepOptions
from runner.config.validate import validate
from runner.config.written import read_config
from runner.errors import ConfigError, Interrupted, RunError
from runner.job.ordered import OrderedJob
from runner.run.directory import RunDirectory
from runner.run.lease import Lease
from runner.run.status import read_raw_status, write_status
from runner.runtime.signals import StopRequests
from runner.sweeps.drive import Drive
from runner.sweeps.ledger import PlannedRun
from runner.sweeps.opening import LENGTH_KEYS
from runner.sweeps.pool import Home
from runner.sweeps.slurm.book import JobBook
from runner.sweeps.slurm.pool import jobs_at_work
from runner.sweeps.slurm.submission import require_sbatch
from runner.sweeps.source import ListSource
from runner.sweeps.watcher import JobsLeft

LENGTHS = tuple(key.rpartition(".")[2] for key in LENGTH_KEYS)
_HERE = {"_target_": "hydra_plugins.runner_launchers.LocalLauncher"}


@dataclass(frozen=True, kw_only=True)
class ClusterRun:
    """A run with its frozen config, and the node of the launcher that takes it to a cluster."""

    directory: Path
    config: Mapping[str, Any]
    launcher: Mapping[str, Any]
    overrides: Sequence[str] = ()
    command: Sequence[str] = ()

    def submit(self, choices: Mapping[str, str], options: SweepOptions) -> float | None:
        """Check and submit the run and watch it to its end; return its score, if that is known.

        Raises ConfigError before anything is submitted; RunError if the run fails; Interrupted if
        this process is asked to stop: the run stays on the cluster unless the user cancels it.
        """
        require_sbatch()
        if options.check != "none":
            report = check_config(self.config, choices, options, is_elsewhere=True)
            for warning in report.warnings:
                print(f"note: {warning}", file=sys.stderr)
        is_refused = False
        try:
            with _held(self._directory) as stop:
                book = JobBook(self._directory.slurm)
                is_new = book.opening is None
                if not is_new:
                    self._refuse_other_config(book)
                book.opened(self.launcher, self.config)
                try:
                    return self.watch(stop)
                except RunError:
                    is_refused = is_new and book.is_unused  # by the cluster: no run has begun
                    raise
        finally:
            if is_refused:
                shutil.rmtree(self._directory.slurm_folder, ignore_errors=True)
                self._directory.slurm.unlink()

    def watch(self, stop: StopRequests) -> float | None:
        """Watch the job that is on the cluster, or submit one; see `submit`."""
        launcher: Any = instantiate(self.launcher)
        home = Home(
            name=str(self.config.get("name", "runner")),
            book=self._directory.slurm,
            folder=self._directory.slurm_folder,
        )
        run = PlannedRun(number=0, key="", overrides=(), config=self.config)
        console = RunConsole(self._directory)
        with (
            RunFeeding(self._directory, self.config) as feeding,
            closing(launcher.open_pool(preload=(), home=home)) as pool,
        ):
            drive = Drive(
                directory=_OnePlace(self._directory),
                source=ListSource([run], total=1),
                pool=pool,
                work_of=lambda _: self._job(feeding.delivered_to),
                watcher=console,
                retries=launcher.retries,
                watches=launcher.watches,
                cancels=lambda: asks_to_cancel(sys.stderr, stop.received),
            )
            try:
                drive.run(stop)
            except JobsLeft as left:
                console.left(left)
                if stop.received is not None:
                    raise Interrupted(stop.received) from left
                return None
        return console.result()

    def _refuse_other_config(self, book: JobBook) -> None:
        """Raise ConfigError if a job is there that does something else."""
        before = (book.opening or {}).get("config")
        if before != self.config and jobs_at_work(self._directory.slurm):
            raise ConfigError(
                f"the job of {self.directory} is on the cluster with another config: fresh=true "
                "starts a run beside it"
            )

    @property
    def _directory(self) -> RunDirectory:
        return RunDirectory(self.directory)

    def _job(self, delivered_to: Mapping[str, str]) -> OrderedJob:
        return OrderedJob(
            config=self.config,
            path=self.directory.absolute(),
            overrides=tuple(self.overrides),
            command=tuple(self.command),
            delivered_to=delivered_to,
        )


def resume_there(directory: Path, overrides: Sequence[str]) -> bool:
    """Go on with the run in `directory` on the cluster it was begun on; False to do so here.

    `overrides` change its layout, as a resume's do, and the launcher: hydra/launcher=local takes
    the run from the cluster.
    """
    run = RunDirectory(directory)
    opening = JobBook(run.slurm).opening or {"launcher": _HERE}
    launcher, layout = changed_launcher(opening["launcher"], overrides)
    if not is_of_cluster(launcher):
        if jobs_at_work(run.slurm):
            raise ConfigError(
                f"the job of {directory} waits or runs on the cluster: end it first: "
                f"python -m runner cancel {directory}"
            )
        return False
    command = ["python", "-m", "runner", "resume", str(directory), *overrides]
    with _held(run) as stop:
        config = _changed(run, launcher, layout)
        ClusterRun(
            directory=directory,
            config=config,
            launcher=launcher,
            overrides=layout,
            command=command,
        ).watch(stop)
    return True


def _changed(
    run: RunDirectory, launcher: Mapping[str, Any], layout: Sequence[str]
) -> dict[str, Any]:
    """Return the config of the run with `layout`, which the next job has; for who holds the run.

    ConfigError while a job with the old one is on the cluster.
    """
    book = JobBook(run.slurm)
    opening = book.opening or {}
    is_there = bool(jobs_at_work(run.slurm))
    if is_there and layout:
        raise ConfigError(
            f"{' '.join(layout)}: the job of {run.path} is on the cluster with its old config; "
            f"to change it: python -m runner cancel {run.path}, then resume"
        )
    before = read_config(run.config) if run.config.exists() else opening["config"]
    config = with_layout(before, layout)
    if layout:
        validate(from_frozen(config))
        _reopen(run, before, config)
    is_same = (launcher, config) == (opening.get("launcher"), opening.get("config"))
    if not is_same and not is_there:
        book.opened(launcher, config)
    return config


@contextmanager
def _held(directory: RunDirectory) -> Iterator[StopRequests]:
    """Let no other process submit or watch jobs of the run meanwhile; yield what asks to stop."""
    directory.slurm_folder.mkdir(parents=True, exist_ok=True)
    with StopRequests() as stop:
        lease = Lease(directory.slurm_lease, on_beat=lambda: None, stop=stop)
        lease.acquire()
        try:
            yield stop
        finally:
            lease.release()


def _reopen(run: RunDirectory, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Let a run that is done to a shorter end count as unfinished."""
    status = read_raw_status(run.status)
    has_new_end = any(before["trainer"].get(key) != now["trainer"].get(key) for key in LENGTHS)
    if status is not None and status.state == "completed" and has_new_end:
        write_status(run.status, replace(status, state="queued"))


@dataclass(frozen=True)
class _OnePlace:
    directory: RunDirectory

    def job(self, number: int) -> RunDirectory:  # noqa: ARG002
        return self.directory

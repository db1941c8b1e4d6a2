"""The node `hydra.launcher` of each launcher of ours, and the pool that it describes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.config.duration import SECONDS_PER_UNIT, parse
from runner.errors import ConfigError
from runner.sweeps.pool import Home, Limits, Pool


class LauncherOptions(Protocol):
    """What the plugins of Hydra and the sweeps need of a launcher."""

    @property
    def limits(self) -> Limits:
        """Return what each job may use."""
        ...

    def open_pool(self, *, preload: Sequence[str], home: Home) -> Pool:
        """Return a new pool, which imports the modules `preload` for its jobs; close it."""
        ...


@dataclass(frozen=True, kw_only=True)
class LocalOptions:
    """The launcher `local`; ConfigError for what cannot be."""

    slots: int | None = None
    jobs_per_gpu: int = 1
    retries: int = 3
    time_limit: str | None = None
    grace: str = "30 seconds"

    def __post_init__(self) -> None:
        _refuse(
            _too_small("slots", self.slots, 1),
            _too_small("jobs_per_gpu", self.jobs_per_gpu, 1),
            _too_small("retries", self.retries, 0),
            _no_duration("time_limit", self.time_limit),
            _no_duration("grace", self.grace),
        )

    @property
    def limits(self) -> Limits:
        return Limits(seconds=_seconds(self.time_limit))

    def open_pool(self, *, preload: Sequence[str], home: Home) -> Pool:  # noqa: ARG002
        from runner.sweeps.local.gpus import visible_gpus
        from runner.sweeps.local.pool import LocalPool
        from runner.sweeps.local.slots import Slots

        slots = Slots(self.slots, gpus=visible_gpus(), jobs_per_gpu=self.jobs_per_gpu)
        return LocalPool(slots, preload=preload, grace_seconds=_seconds(self.grace) or 0.0)


@dataclass(frozen=True, kw_only=True)
class SlurmLauncherOptions:
    """The launcher `slurm`; what a job asks of the cluster stands in hardware.slurm."""

    retries: int = 5
    wait: bool = True
    array_parallelism: int | None = None
    warning: str = "2 minutes"
    snapshot_code: bool = False

    def __post_init__(self) -> None:
        _refuse(
            _too_small("retries", self.retries, 0),
            _too_small("array_parallelism", self.array_parallelism, 1),
            _no_duration("warning", self.warning),
        )

    @property
    def limits(self) -> Limits:
        return Limits()  # the cluster's own hold

    def open_pool(self, *, preload: Sequence[str], home: Home) -> Pool:  # noqa: ARG002
        from runner.sweeps.slurm.outbox import SlurmSetup
        from runner.sweeps.slurm.pool import SlurmPool
        from runner.sweeps.slurm.submission import require_sbatch

        require_sbatch()
        setup = SlurmSetup(
            retries=self.retries,
            array_parallelism=self.array_parallelism,
            most=(self.array_parallelism or _SEARCHES_AT_ONCE) if home.is_search else None,
            warning_seconds=int(_seconds(self.warning) or 0),
            snapshot_code=self.snapshot_code,
        )
        return SlurmPool(setup, home)


_SEARCHES_AT_ONCE = 16  # a search learns from what has ended


def _refuse(*problems: str | None) -> None:
    if found := [problem for problem in problems if problem]:
        raise ConfigError(*found)


def _too_small(name: str, value: int | None, least: int) -> str | None:
    if value is None or (type(value) is int and value >= least):
        return None
    if type(value) is not int:  # of a resume, where no schema has seen it
        return f"hydra.launcher.{name} must be a whole number, got {value!r}"
    return f"hydra.launcher.{name} must be >= {least}, got {value}"


def _no_duration(name: str, text: str | None) -> str | None:
    try:
        _seconds(text)
    except ConfigError as error:
        return f"hydra.launcher.{name}: {error}"
    return None


def _seconds(text: str | None) -> float | None:
    return None if text is None else parse(text, units=tuple(SECONDS_PER_UNIT)).seconds

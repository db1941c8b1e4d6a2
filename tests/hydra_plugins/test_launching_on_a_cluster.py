"""What Hydra's own sweepers do with `hydra/launcher=slurm`: one array, and no job left behind."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from runner.cli.sweeps.launchers import SlurmLauncherOptions
from runner.sweeps.pool import Ended, RunOfJob
from tests.commands.command import call

BASIC = ("-m", "hydra/sweeper=basic", "hydra/launcher=slurm", "hydra.sweep.dir=s", "seed=1,2,3")


class Cluster:
    """A pool whose jobs outlive it; they end when they are cancelled, or with `code`."""

    outlives = True

    def __init__(self, *, code: int | None = None, stop: bool = False) -> None:
        self.calls: list[str] = []
        self.runs: list[RunOfJob | None] = []
        self._code, self._stop = code, stop
        self._jobs: list[int] = []
        self._stopped: list[int] = []

    def submit(self, number: int, work: Any, *, run: RunOfJob | None = None, **_: Any) -> None:
        assert work.result.parent.is_dir()
        self.calls.append("submit")
        self.runs.append(run)
        self._jobs.append(number)

    def poll(self, seconds: float) -> list[Ended]:
        self.calls.append("poll")
        if self._stop:
            self._stop = False
            os.kill(os.getpid(), signal.SIGTERM)
        elif self._stopped:
            assert list(Path("s").glob(".launch_*")), "the jobs have no place for their results"
            return [Ended(number=self._stopped.pop(), signal=15, is_cancelled=True)]
        elif self._code is not None:
            return [Ended(number=self._jobs.pop(), exit_code=self._code)]
        return []

    def stop(self, number: int) -> None:
        self.calls.append("stop")
        self._stopped.append(number)

    def close(self) -> None:
        self.calls.append("close")


def on(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SlurmLauncherOptions, "open_pool", lambda self, **_: cluster)


def test_all_jobs_go_at_once_and_ask_for_what_their_configs_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(cluster := Cluster(code=3), monkeypatch)
    call(*BASIC, "hardware.slurm.memory_gb=2", "name=r_${seed}", cwd=tmp_path)
    assert cluster.calls == ["submit"] * 3 + ["poll"] * 3 + ["close"]
    assert [run and run.directory for run in cluster.runs] == [
        tmp_path / "s" / name for name in ("0", "1", "2")
    ]
    configs = [run.config for run in cluster.runs if run]
    assert [config["hardware"]["slurm"]["memory_gb"] for config in configs] == [2] * 3
    assert [config["seed"] for config in configs] == [1, 2, 3]
    assert all("hydra" not in config for config in configs)


def test_a_stop_cancels_the_jobs_and_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(cluster := Cluster(stop=True), monkeypatch)
    stopped = call(*BASIC, cwd=tmp_path)
    assert stopped.returncode == 128 + signal.SIGTERM
    assert cluster.calls == [*["submit"] * 3, "poll", *["stop"] * 3, *["poll"] * 3, "close"]
    assert not list((tmp_path / "s").glob(".launch_*"))


def test_jobs_are_not_left_to_sweepers_that_cannot_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(cluster := Cluster(), monkeypatch)
    refused = call(*BASIC, "hydra.launcher.wait=false", cwd=tmp_path)
    assert refused.returncode == 2 and "hydra.launcher.wait=false: Hydra's own" in refused.stderr
    assert cluster.calls == [] and "Traceback" not in refused.stderr

"""A single run on a cluster: who else is at it, and what is said of it."""

from dataclasses import asdict
from pathlib import Path

import pytest

from hydra_plugins.runner_launchers import SlurmLauncherConf
from runner.cli.cluster_run import ClusterRun, resume_there
from runner.config.options import SweepOptions
from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.sweeps.slurm.book import JobBook
from tests.cli.test_cancel import holder
from tests.sweeps.slurm.programs import Commands, calls_in

NODE = asdict(SlurmLauncherConf())


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path, monkeypatch)


def test_who_comes_second_leaves_what_the_first_has_begun_alone(
    tmp_path: Path, commands: Commands
) -> None:
    calls = commands("sbatch", code=1)
    run = RunDirectory(tmp_path / "here")
    run.slurm_folder.mkdir(parents=True)
    with holder(run.slurm_lease) as first:
        second = ClusterRun(directory=run.path, config={}, launcher=NODE)
        with pytest.raises(RunError, match=f"is in use by process {first.pid}"):
            second.submit({}, SweepOptions(check="none"))
        assert run.slurm_lease.exists() and not run.slurm.exists()
    assert calls_in(calls) == []


def test_a_second_resume_changes_nothing(tmp_path: Path, commands: Commands) -> None:
    commands("squeue")
    run = RunDirectory(tmp_path / "here")
    JobBook(run.slurm).opened(NODE, {"seed": 1})
    run.slurm_folder.mkdir()
    before = run.slurm.read_text()
    with holder(run.slurm_lease), pytest.raises(RunError, match="is in use"):
        resume_there(run.path, ["hydra.launcher.retries=7"])
    assert run.slurm.read_text() == before

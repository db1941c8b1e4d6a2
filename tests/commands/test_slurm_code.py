"""Submitted means fixed: what is edited while jobs wait in the queue of a real Slurm."""

import json
from pathlib import Path

import pytest

from runner.run.source.state import code_state
from tests.commands.command import BARE, run
from tests.slurm.cluster import SlurmCluster
from tests.sweeps.codebase.repositories import make_repository, write

pytestmark = pytest.mark.slurm

NET = """
from torch import nn

print("net of version {version}")


class Net(nn.Sequential):
    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, num_classes))
"""
MODEL = "_target_: nets.net.Net\nwidth: {width}\nnum_classes: ${{task.num_classes}}\n"
COMMAND = ("-m", "model=net", "hardware=cpu", "hydra/launcher=slurm", "trainer.max_steps=2", *BARE)
HELD = ("hydra.launcher.wait=false", "+hardware.slurm.sbatch.hold=true")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a repository with code and conf of one's own, where runs are not ignored."""
    files = {
        "nets/__init__.py": "",
        "nets/net.py": NET.format(version=0),
        "conf/model/net.yaml": MODEL.format(width=4),
    }
    root = make_repository(tmp_path / "own", files)
    write(root / "nets" / "net.py", NET.format(version=1))
    return root


def submit(project: Path, *options: str) -> Path:
    """Submit a sweep whose jobs wait until they are released; return its directory."""
    done = run(*COMMAND, *HELD, *options, cwd=project)
    assert done.returncode == 0, done.stderr
    (record,) = (project / "outputs").rglob("sweep.json")
    return record.parent


def edit(project: Path) -> None:
    write(project / "nets" / "net.py", NET.format(version=2))
    write(project / "conf" / "model" / "net.yaml", MODEL.format(width=8))


def release(cluster: SlurmCluster, sweep: Path) -> list[Path]:
    """Let the jobs run, wait until they have ended well, and return the directories of the runs."""
    waiting = [job for job, state in cluster.squeue().items() if state == "PENDING"]
    assert waiting and not list(sweep.glob("*/status.json"))
    cluster.call("scontrol", "release", ",".join(waiting))
    for job in waiting:
        cluster.wait_for(job, "COMPLETED", seconds=90)
    return [sweep / str(number) for number in range(len(waiting))]


def log_of(directory: Path) -> str:
    return "".join(path.read_text() for path in (directory / "logs").iterdir())


@pytest.mark.timeout(300)
def test_with_a_snapshot_what_is_edited_in_the_meantime_changes_nothing(
    slurm_cluster: SlurmCluster, project: Path
) -> None:
    before = code_state(project)
    sweep = submit(project, "seed=1,2", "hydra.launcher.snapshot_code=true")
    edit(project)
    for directory in release(slurm_cluster, sweep):
        log = log_of(directory)
        assert "net of version 1" in log and "net of version 2" not in log
        assert "THE CODE HAS CHANGED" not in log
        assert json.loads((directory / "run.json").read_text())["code"] == before
        assert "width: 4" in (directory / "config.yaml").read_text()
    files = sweep / "slurm" / "code" / "files"
    assert sorted(path.name for path in files.iterdir()) == ["conf", "nets"], "no outputs"


@pytest.mark.timeout(300)
def test_without_one_the_config_is_that_of_the_submission_and_new_code_is_told(
    slurm_cluster: SlurmCluster, project: Path
) -> None:
    sweep = submit(project, "seed=1")
    edit(project)
    for directory in release(slurm_cluster, sweep):
        log = log_of(directory)
        assert "net of version 2" in log
        assert "THE CODE HAS CHANGED since this job was submitted" in log
        assert "width: 4" in (directory / "config.yaml").read_text()

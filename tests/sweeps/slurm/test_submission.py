"""What the words of sbatch mean; a program of the same name says them."""

import os
from pathlib import Path

import pytest

from runner.errors import RunError
from runner.sweeps.slurm.queue import QueueUnavailable
from runner.sweeps.slurm.submission import QueueFullError, Submission, require_sbatch
from runner.sweeps.slurm.work import SlurmWork
from tests.sweeps.slurm.commands import say

WORK = SlurmWork(work=b"", path=(), log=Path("log"))


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    say(folder, "srun")
    return folder


def submit(folder: Path, count: int) -> list[str]:
    submission = Submission(folder=folder / "slurm", name="n", parameters={"time": 1})
    return submission.submit([WORK] * count)


def test_ids_are_those_of_tasks_where_there_are_several(commands: Path, tmp_path: Path) -> None:
    say(commands, "sbatch", "echo Submitted batch job 7")
    assert submit(tmp_path, 1) == ["7"]
    assert submit(tmp_path, 2) == ["7_0", "7_1"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Batch job submission failed: Resource temporarily unavailable", QueueFullError),
        (
            "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, "
            "user's size and/or time limits)",
            QueueFullError,
        ),
        ("Unable to contact slurm controller (connect failure)", QueueUnavailable),
        (
            "Batch job submission failed: Socket timed out on send/recv operation",
            QueueUnavailable,
        ),
        ("Batch job submission failed: Invalid account", RunError),
    ],
)
def test_errors_are_told_apart(
    commands: Path, tmp_path: Path, words: str, kind: type[RunError]
) -> None:
    say(commands, "sbatch", f'echo "sbatch: error: {words}" >&2', "exit 1")
    with pytest.raises(RunError) as caught:
        submit(tmp_path, 1)
    assert type(caught.value) is kind
    assert words in str(caught.value) and "sbatch: error" not in str(caught.value)


def test_the_surrounding_job_is_not_the_jobs(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setenv("SLURM_CONF", "/slurm.conf")
    say(commands, "sbatch", f"env >{tmp_path}/env", "echo Submitted batch job 7")
    submit(tmp_path, 1)
    told = (tmp_path / "env").read_text()
    assert "SLURM_JOB_ID" not in told and "SLURM_CONF=/slurm.conf" in told
    assert os.environ["SLURM_JOB_ID"] == "5"


def test_a_machine_without_sbatch_is_no_login_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RunError, match="there is no sbatch on this machine"):
        require_sbatch()

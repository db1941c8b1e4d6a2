"""A single run on a real Slurm, without -m: submitted, watched, left, and gone on with."""

import signal
from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from runner.run.status import read_raw_status
from runner.sweeps.slurm.book import JobBook
from tests.commands.cluster_commands import (
    GATED,
    HELD,
    LEFT,
    SLURM,
    Terminal,
    open_gate,
    put_gate,
)
from tests.commands.command import call, start
from tests.slurm.cluster import SlurmCluster, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]

HERE = "hydra.run.dir=here"
SHORT = (*SLURM, HERE, "trainer.max_steps=3")


def step_in(folder: Path) -> tuple[str, int]:
    status = read_raw_status(RunDirectory(folder / "here").status)
    assert status is not None
    return status.state, status.step


def job_in(folder: Path) -> str:
    (id,) = JobBook(RunDirectory(folder / "here").slurm).last_ids.values()
    return id


def test_submitted_and_left_it_is_watched_later_and_made_longer(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    left = call(*SHORT, HELD, LEFT, cwd=tmp_path)
    assert left.returncode == 0, left.stderr
    id = job_in(tmp_path)
    assert f"job {id} is on the cluster" in left.stderr
    told = call("status", "here", cwd=tmp_path)
    assert "queued" in told.stdout and id in told.stdout, told.stderr
    for wrong, words in (
        (("resume", "here", "trainer.max_steps=5"), "is on the cluster with its old config"),
        (("resume", "here", "hydra/launcher=local"), "waits or runs on the cluster"),
        ((*SHORT, HELD, "seed=5"), "is on the cluster with another config"),
    ):
        refused = call(*wrong, cwd=tmp_path)
        assert refused.returncode == 2 and words in refused.stderr
    slurm_cluster.call("scontrol", "release", id)
    watched = call("resume", "here", cwd=tmp_path)
    assert watched.returncode == 0, watched.stderr
    assert "training ended step=3" in watched.stderr and "completed score=" in watched.stderr
    released = "~hardware.slurm.sbatch.hold"
    longer = call("resume", "here", "trainer.max_steps=5", released, cwd=tmp_path)
    assert longer.returncode == 0, longer.stderr
    assert step_in(tmp_path) == ("completed", 5)


def test_ctrl_c_asks_and_the_job_is_left_or_cancelled(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    for command, answer, state in (
        ((*SHORT, HELD), "\x03", "PENDING"),
        (("resume", "here"), "c\n", "CANCELLED"),
    ):
        watched = Terminal(*command, cwd=tmp_path)
        watched.wait_for("the job waits: JobHeldUser")
        id = job_in(tmp_path)
        watched.type("\x03")
        watched.wait_for("leave what is on the cluster, or cancel it? [L/c]")
        watched.type(answer)
        assert watched.wait() == 128 + signal.SIGINT
        assert slurm_cluster.squeue().get(id, "CANCELLED") == state, watched.text
    assert step_in(tmp_path) == ("cancelled", 0)


@pytest.mark.parametrize(
    ("overrides", "words", "log"),
    [
        (("+callbacks.x._target_=trouble.Trouble",), "KeyError: 'bug'", "here/logs/console.log"),
        (("hardware.slurm.setup=['exit 3']",), "exit code 3", "here/slurm/{id}_0_log.out"),
    ],
)
def test_a_failure_is_told_with_its_reason_and_where_more_is(
    slurm_cluster: SlurmCluster, tmp_path: Path, overrides: tuple[str, ...], words: str, log: str
) -> None:
    (tmp_path / "trouble.py").write_text(
        "from runner.training.callback import Callback\n"
        "class Trouble(Callback):\n"
        "    def on_step_end(self, fit):\n"
        "        raise KeyError('bug')\n"
    )
    before = slurm_cluster.squeue().keys()
    failed = call(*SHORT, *overrides, cwd=tmp_path)
    assert failed.returncode == 1
    last = failed.stderr.splitlines()[-1]
    (id,) = slurm_cluster.squeue().keys() - before
    path = log.format(id=id)
    assert last.startswith("error: the run failed: ") and words in last and path in last
    assert (tmp_path / path).exists()
    assert step_in(tmp_path)[0] == "failed"
    assert slurm_cluster.squeue()[id] == "FAILED"


def test_a_refusal_is_a_sentence_and_leaves_nothing(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    refused = call(*SHORT, "hardware.slurm.partition=nope", cwd=tmp_path)
    assert refused.returncode == 1
    assert "refused the jobs: invalid partition specified: nope" in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_who_watches_may_die_and_another_watches_one_at_a_time(
    slurm_cluster: SlurmCluster, tmp_path: Path, number: signal.Signals
) -> None:
    put_gate(tmp_path)
    watching = start(*GATED, HERE, cwd=tmp_path)
    wait_until((tmp_path / "here" / "config.yaml").exists, seconds=60)
    second = call("resume", "here", cwd=tmp_path)
    assert second.returncode == 1 and f"is in use by process {watching.pid}" in second.stderr
    watching.send_signal(number)
    watching.communicate(timeout=60)
    assert watching.returncode in (-number, 128 + number)
    id = job_in(tmp_path)
    assert slurm_cluster.squeue()[id] == "RUNNING"
    third = start("resume", "here", cwd=tmp_path)
    open_gate(tmp_path)
    _, told = third.communicate(timeout=120)
    assert third.returncode == 0, told
    assert step_in(tmp_path) == ("completed", 600)
    assert slurm_cluster.squeue()[id] == "COMPLETED"


@pytest.mark.slow
def test_a_run_goes_on_there_and_here(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    here = call(*SHORT, "hydra/launcher=basic", cwd=tmp_path)
    assert here.returncode == 0, here.stderr
    there = call("resume", "here", "hydra/launcher=slurm", "trainer.max_steps=5", cwd=tmp_path)
    assert there.returncode == 0, there.stderr
    assert step_in(tmp_path) == ("completed", 5)
    home = call("resume", "here", "trainer.max_steps=7", "hydra/launcher=basic", cwd=tmp_path)
    assert home.returncode == 0, home.stderr
    assert step_in(tmp_path) == ("completed", 7)

"""What a real Slurm says of jobs, as `read_queue` tells it, and jobs that are cancelled."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from runner.run.status import Status, read_raw_status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.slurm import queue
from runner.sweeps.slurm.book import JobBook
from runner.sweeps.slurm.queue import QueuedJob, read_queue, why
from tests.commands.command import call
from tests.slurm.cluster import SlurmCluster, running_cluster, wait_until
from tests.sweeps.slurm.programs import Commands
from tests.sweeps.sweep_directories import begin, plan

pytestmark = pytest.mark.slurm


def states(ids: Sequence[str]) -> list[str | None]:
    found = read_queue(ids)
    return [found[id].state if id in found else None for id in ids]


def wait_for(id: str, state: str, *, seconds: float = 30) -> QueuedJob:
    wait_until(lambda: states([id]) == [state], seconds=seconds)
    return read_queue([id])[id]


def test_jobs_and_tasks_of_arrays_in_every_state(slurm_cluster: SlurmCluster) -> None:
    odd = slurm_cluster.submit("sleep 60", "-J", 'a|b "c" d,e[1]', "-w", "node2")
    array = slurm_cluster.submit("exit $SLURM_ARRAY_TASK_ID", "--array=0-3")
    held = slurm_cluster.submit("true", "-H", "--array=0-9")
    killed = slurm_cluster.submit("sleep 1; kill -9 $$")
    ids = [f"{array}_0", f"{array}_3", f"{held}_0", f"{held}_9", f"{held}_10", odd, "999999"]
    wait_until(
        lambda: states(ids) == ["COMPLETED", "FAILED", "PENDING", "PENDING", None, "RUNNING", None],
        seconds=30,
    )
    found = read_queue(ids)
    assert (found[ids[0]].exit_code, found[ids[1]].exit_code) == (0, 3)
    assert found[odd].nodes == "node2" and found[odd].exit_code is None
    assert "scontrol release" in why(found[ids[2]])
    assert wait_for(killed, "FAILED").signal == 9


def test_one_job_alone_may_be_unknown(slurm_cluster: SlurmCluster) -> None:
    assert read_queue(["999999"]) == {} and read_queue(["999999_4"]) == {}


def test_reasons_of_waiting_are_sentences(slurm_cluster: SlurmCluster) -> None:
    first = slurm_cluster.submit("sleep 60", "-N2", "--exclusive")
    jobs = {
        slurm_cluster.submit("true", *options): words
        for words, options in {
            "begins when enough nodes are free (Resources)": ["-N2", "--exclusive"],
            "at a set time": ["-b", "now+1hour"],
            "another job to end": ["-d", f"afterok:{first}"],
        }.items()
    }
    wait_until(
        lambda: all(text in why(read_queue(jobs)[id]) for id, text in jobs.items()), seconds=20
    )


def test_a_lost_node_is_no_end(slurm_cluster: SlurmCluster) -> None:
    job = slurm_cluster.submit("sleep 60", "-w", "node1", "--requeue")
    wait_for(job, "RUNNING")
    seen: list[QueuedJob] = []
    slurm_cluster.node_down("node1")

    def is_back() -> bool:
        seen.extend(read_queue([job]).values())
        return seen[-1].state == "PENDING"

    wait_until(is_back, seconds=40)
    assert seen[-1].restarts == 1
    over = [one for one in seen if one.is_over]
    assert all(one.is_passing for one in over)


def test_a_task_cancelled_while_its_array_waits_leaves_no_trace(
    slurm_cluster: SlurmCluster,
) -> None:
    held = slurm_cluster.submit("true", "-H", "--array=0-3")
    slurm_cluster.call("scancel", f"{held}_2")
    assert states([f"{held}_1", f"{held}_2"]) == ["PENDING", None]


def test_what_squeue_does_not_know_is_in_the_accounting(
    slurm_cluster_with_accounting: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, expected = ended_jobs(slurm_cluster_with_accounting)
    wait_until(lambda: states(ids) == expected, seconds=20)
    commands = Commands(tmp_path, monkeypatch)
    commands("squeue", "")
    (commands.folder / "sacct").unlink()  # the real one
    wait_until(lambda: states(ids) == expected, seconds=20)
    assert read_queue(ids)[ids[1]].exit_code == 3


@pytest.mark.slow
def test_what_squeue_forgot_is_in_the_accounting(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_cluster("--accounting", "--min-job-age", "2") as cluster:
        monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
        monkeypatch.setattr(queue, "_sacct_silent_until", 0.0)
        ids, expected = ended_jobs(cluster)
        wait_until(lambda: not set(ids) & cluster.squeue().keys(), seconds=60)
        wait_until(lambda: states(ids) == expected, seconds=20)


def ended_jobs(cluster: SlurmCluster) -> tuple[list[str], list[str | None]]:
    """Submit jobs that end at once; return ids and the states in which they will be."""
    array = cluster.submit("exit $SLURM_ARRAY_TASK_ID", "--array=0-3")
    held = cluster.submit("true", "-H", "--array=0-30:2")
    cluster.call("scancel", held)
    ids = [f"{array}_0", f"{array}_3", f"{held}_28", f"{held}_1"]
    return ids, ["COMPLETED", "FAILED", "CANCELLED", None]


def on_cluster(path: Path, ids: dict[int, str]) -> SweepDirectory:
    sweep = plan(path, [[f"seed={seed}"] for seed in ids])
    JobBook(sweep.slurm).submitted("s", ids)
    return sweep


def test_cancel_ends_what_works_and_what_waits(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    array = slurm_cluster.submit("sleep 60", "--array=0-5%2")
    other = slurm_cluster.submit("sleep 60")
    sweep = on_cluster(tmp_path / "s", {number: f"{array}_{number}" for number in range(6)})
    begin(sweep, 0, Status(state="running", jobs=1))
    JobBook(sweep.slurm).submitting("named", [6])
    named = slurm_cluster.submit("sleep 60", "-J", "named")
    wait_for(f"{array}_0", "RUNNING")
    shown = call("status", "s", cwd=tmp_path).stdout.splitlines()
    assert [line.split()[1] for line in shown[1:7]] == ["running"] * 2 + ["queued"] * 4
    assert "4 runs pending: as many jobs as" in "\n".join(shown)
    said = call("cancel", "s", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "6 cancelled" in said.stdout
    found = read_queue([*(f"{array}_{number}" for number in range(6)), other, named])
    assert {job.id for job in found.values() if not job.is_over} == {other}
    for number in range(6):
        status = read_raw_status(sweep.job(number).status)
        assert status is not None and status.state == "cancelled"
    assert call("cancel", "s", cwd=tmp_path).stdout.startswith("nothing to cancel")


def test_cancel_of_one_run_leaves_the_others(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    array = slurm_cluster.submit("sleep 60", "--array=0-1")
    sweep = on_cluster(tmp_path / "s", {number: f"{array}_{number}" for number in range(2)})
    begin(sweep, 1, Status(state="running", jobs=1))
    wait_for(f"{array}_1", "RUNNING")
    said = call("cancel", "s/1", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert states([f"{array}_0", f"{array}_1"]) == ["RUNNING", "CANCELLED"]

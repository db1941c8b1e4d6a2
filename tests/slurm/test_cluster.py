import shutil
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.slurm.cluster import (
    NODES,
    SCRIPT,
    SlurmCluster,
    require_slurm,
    running_cluster,
    wait_until,
)

pytestmark = pytest.mark.slurm


def members_of(cluster: SlurmCluster) -> dict[psutil.Process, str]:
    """Every process, daemon or task, that was started with the settings of a cluster: its name."""
    mark = f"SLURM_CONF={cluster.conf}".encode()
    found = {}
    for process in psutil.process_iter():
        try:
            # Not process.environ(): slurmstepd writes its title over the beginning.
            if mark in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                found[process] = process.name()
        except (OSError, psutil.Error):  # it has ended
            continue
    return found


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def words_in(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def wait_for_words(file: Path, count: int) -> list[str]:
    wait_until(lambda: len(words_in(file)) >= count, seconds=60)
    return words_in(file)


def test_a_batch_job_runs_on_the_node_it_asks_for(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    for node in NODES:
        slurm_cluster.submit(f"echo $SLURMD_NODENAME > {tmp_path}/{node}", "-w", node)
    for node in NODES:
        assert wait_for_words(tmp_path / node, 1) == [node]


def test_srun_runs_on_both_nodes(slurm_cluster: SlurmCluster) -> None:
    said = slurm_cluster.call("srun", "-N2", "-n2", "sh", "-c", "echo $SLURMD_NODENAME")
    assert sorted(said.split()) == ["node1", "node2"]


def test_a_gpu_is_given_to_one_job_at_a_time(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    said = tmp_path / "gpus"
    for _ in range(2):
        slurm_cluster.submit(
            f"echo $CUDA_VISIBLE_DEVICES >> {said}; sleep 60", "-w", "node1", "--gres=gpu:1"
        )
    assert sorted(wait_for_words(said, 2)) == ["0", "1"]
    third = slurm_cluster.submit("true", "-w", "node1", "--gres=gpu:1")
    assert slurm_cluster.squeue()[third] == "PENDING"


def test_high_evicts_low_which_is_requeued(slurm_cluster: SlurmCluster) -> None:
    low = slurm_cluster.submit("sleep 60", "-w", "node1", "--exclusive")
    slurm_cluster.wait_for(low, "RUNNING")
    high = slurm_cluster.submit("sleep 60", "-w", "node1", "--exclusive", "-p", "high")
    slurm_cluster.wait_for(high, "RUNNING")
    slurm_cluster.wait_for(low, "PENDING")
    assert slurm_cluster.job(low)["Restarts"] == "1"


def test_with_a_grace_time_the_evicted_job_is_warned(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    script = f"trap 'echo warned >> {said}' USR2; echo ready >> {said}; while :; do sleep 0.1; done"
    low = slurm_cluster.submit(
        script, "-p", "grace", "-w", "node1", "--exclusive", "--signal=B:USR2@5", "-t", "30"
    )
    assert wait_for_words(said, 1) == ["ready"]
    slurm_cluster.submit("true", "-w", "node1", "--exclusive", "-p", "high")
    assert wait_for_words(said, 2) == ["ready", "warned"]
    assert slurm_cluster.squeue()[low] == "RUNNING"


def test_a_requeued_job_starts_again_with_its_number(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    job = slurm_cluster.submit(f"echo $SLURM_JOB_ID >> {said}; sleep 60")
    wait_for_words(said, 1)
    slurm_cluster.call("scontrol", "requeue", job)
    assert wait_for_words(said, 2) == [job, job]
    assert slurm_cluster.job(job)["Restarts"] == "1"


def test_a_lost_node_requeues_its_job_and_comes_back(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    slurm_cluster.submit(f"echo $SLURMD_NODENAME >> {said}; sleep 60")
    (first,) = wait_for_words(said, 1)
    before = members_of(slurm_cluster)
    slurm_cluster.node_down(first)
    (other,) = set(NODES) - {first}
    assert slurm_cluster.node_states()[first].startswith("down")
    lost = [name for process, name in before.items() if not is_alive(process)]
    assert {"slurmd", "sleep"} <= set(lost)
    assert wait_for_words(said, 2) == [first, other]
    slurm_cluster.node_up(first)
    assert slurm_cluster.call("srun", "-w", first, "sh", "-c", "echo $SLURMD_NODENAME").split() == [
        first
    ]


def test_without_accounting_sacct_fails(slurm_cluster: SlurmCluster) -> None:
    with pytest.raises(AssertionError, match="Slurm accounting storage is disabled"):
        slurm_cluster.call("sacct")


def test_with_accounting_sacct_tells_how_a_job_ended(
    slurm_cluster_with_accounting: SlurmCluster,
) -> None:
    cluster = slurm_cluster_with_accounting
    job = cluster.submit("exit 3")
    cluster.wait_for(job, "FAILED")
    fields = ("sacct", "-n", "-X", "-P", "-j", job, "-o", "JobID,State,ExitCode")
    wait_until(lambda: cluster.call(*fields).strip() == f"{job}|FAILED|3:0", seconds=60)


def test_stop_ends_its_own_cluster_whole_and_no_other(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    with running_cluster() as other:
        assert other.conf != slurm_cluster.conf
        # All ignore the polite signal, and one has left the session and knows of no cluster.
        two = ("env -i setsid sleep 60", "sleep 60")
        tasks = "".join(f"{task} & echo $! >> {pids}; " for task in two)
        other.submit(f"trap '' TERM; {tasks}wait")
        ours = slurm_cluster.submit("sleep 60")
        slurm_cluster.wait_for(ours, "RUNNING")
        tasks = [psutil.Process(int(pid)) for pid in wait_for_words(pids, 2)]
        members = members_of(other)
        assert {"slurmctld", "slurmd", "slurmstepd"} <= set(members.values())
        assert all(is_alive(process) for process in [*members, *tasks])
        other.stop()
        wait_until(lambda: not any(is_alive(process) for process in [*members, *tasks]), seconds=10)
        assert slurm_cluster.squeue()[ours] == "RUNNING"
        assert members_of(other) == {}


def test_start_says_one_line_for_the_shell(slurm_cluster: SlurmCluster) -> None:
    assert slurm_cluster.start() == f"export SLURM_CONF={slurm_cluster.conf}\n"  # it runs already


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    require_slurm()
    home = Path("/tmp") / f"taken_{time.time_ns()}"
    home.mkdir()
    try:
        (home / "thesis.txt").write_text("years of work")
        done = subprocess.run([SCRIPT, "start", "--home", home], capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.endswith("holds something else: name another folder with --home\n")
        assert [file.name for file in home.iterdir()] == ["thesis.txt"]
    finally:
        shutil.rmtree(home)

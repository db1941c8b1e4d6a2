"""What a config asks for is what its job has on a real Slurm, and what it refuses is told."""

import os
from pathlib import Path

import pytest
from submitit import SlurmExecutor

from runner.config.compose import compose
from runner.config.frozen import freeze_open
from runner.sweeps.slurm import cluster
from runner.sweeps.slurm.admission import refusal_of
from runner.sweeps.slurm.cluster import has_gpus, max_array_size, time_limit_minutes
from runner.sweeps.slurm.resources import Resources, resources_of
from tests.slurm.cluster import SlurmCluster, wait_until

pytestmark = pytest.mark.slurm


def asked(*overrides: str) -> Resources:
    return resources_of(freeze_open(compose(overrides)))


def environments(resources: Resources, folder: Path) -> tuple[str, list[dict[str, str]]]:
    """Return the id of a job with `resources`, and the variables that each of its ranks sees."""
    executor = SlurmExecutor(folder / "slurm")
    executor.update_parameters(**resources.parameters(warning_seconds=10))
    file = f"{folder}/$SLURM_PROCID"
    job = executor.submit(os.system, f"env >{file}.part && mv {file}.part {file}.env")
    count = resources.num_tasks
    wait_until(lambda: len(list(folder.glob("*.env"))) == count, seconds=60)
    texts = [(folder / f"{rank}.env").read_text() for rank in range(count)]
    return job.job_id, [
        dict(line.split("=", 1) for line in text.splitlines() if "=" in line) for text in texts
    ]


def test_a_job_has_what_its_config_asks_for(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    resources = asked(
        "hardware=cuda",
        "hardware.threads=2",
        "data.num_workers=1",
        "hardware.slurm.gpus_per_node=2",
        "hardware.slurm.memory_gb=1.5",
        "hardware.slurm.time_limit='90 minutes'",
        "hardware.slurm.partition=high",
        "hardware.slurm.sbatch={comment: as asked, exclude: [node1]}",
        "hardware.slurm.srun=['--export=ALL,FROM_SRUN=1']",
        "hardware.slurm.setup=['export FROM_SETUP=\"two words\"']",
    )
    assert refusal_of(resources) is None
    number, (seen,) = environments(resources, tmp_path)
    assert seen["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert (seen["SLURM_CPUS_PER_TASK"], seen["SLURM_MEM_PER_NODE"]) == ("3", "1536")
    assert (seen["SLURM_JOB_PARTITION"], seen["SLURM_STEP_NODELIST"]) == ("high", "node2")
    assert (seen["FROM_SRUN"], seen["FROM_SETUP"]) == ("1", "two words")
    told = slurm_cluster.job(number)
    assert (told["TimeLimit"], told["Requeue"]) == ("01:30:00", "1")
    assert told["Comment"].startswith("as")


def test_one_job_has_ranks_on_two_nodes(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    resources = asked("hardware=cuda", "hardware.num_processes=4", "hardware.slurm.nodes=2")
    number, seen = environments(resources, tmp_path)
    assert [rank["SLURM_NODEID"] for rank in seen] == ["0", "0", "1", "1"]
    assert [rank["SLURM_LOCALID"] for rank in seen] == ["0", "1", "0", "1"]
    assert {rank["SLURM_STEP_NUM_TASKS"] for rank in seen} == {"4"}
    assert {rank["CUDA_VISIBLE_DEVICES"] for rank in seen} == {"0,1"}
    assert {rank["SLURM_JOB_ID"] for rank in seen} == {number}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["hardware.slurm.partition=hgh"],
            "(hardware.slurm.partition - did you mean 'high'?; there are low, grace, high)",
        ),
        (["hardware.slurm.constraint=fast"], "feature specification (hardware.slurm.constraint)"),
        (["hardware.slurm.cpus_per_task=99"], "1 task(s) a node with 99 CPU(s) each)"),
        (["hardware.slurm.memory_gb=999"], "with 1 CPU(s) each, 999 GB a node)"),
        (["hardware.slurm.gpus_per_node=a100:1"], "a100:1 GPU(s) a node)"),
        (["hardware.num_processes=3", "hardware.slurm.nodes=3"], "asked for: 3 node(s), 1 task"),
        (["hardware.slurm.sbatch={nonsense: 3}"], "'--nonsense=3' (hardware.slurm.sbatch)"),
        (["hardware.slurm.sbatch={nodelist: node9}"], "node name specified (hardware.slurm.sbatch"),
    ],
)
def test_what_the_cluster_would_refuse_is_told(
    slurm_cluster: SlurmCluster, overrides: list[str], said: str
) -> None:
    before = slurm_cluster.squeue()
    refusal = refusal_of(asked(*overrides))
    assert refusal is not None
    assert refusal.startswith("the cluster would refuse the job: ")
    assert said in refusal
    assert slurm_cluster.squeue() == before


def test_the_cluster_tells_its_limits(slurm_cluster: SlurmCluster) -> None:
    assert max_array_size() == 1001
    assert has_gpus()
    cluster._answer.cache_clear()  # it remembers what other tests were told
    slurm_cluster.call("scontrol", "update", "PartitionName=grace", "MaxTime=1-00:30:00")
    try:
        assert time_limit_minutes("low") is None
        assert time_limit_minutes("low,grace") == 1470
    finally:
        slurm_cluster.call("scontrol", "update", "PartitionName=grace", "MaxTime=UNLIMITED")
        cluster._answer.cache_clear()

"""What Slurm means to do with a job, told from what scontrol shows; and starts that get nowhere."""

from pathlib import Path
from typing import Any

import pytest

from runner.errors import RunError
from runner.sweeps.slurm import leaving
from runner.sweeps.slurm.leaving import (
    Intent,
    JobOfCluster,
    avoid_node,
    fruitless_starts,
    intent_for,
    intent_in,
    is_fault_of_node,
    may_pass,
    node_of_rank,
    rank_that_failed,
    requeue,
)
from tests.sweeps.slurm.scontrol import FakeScontrol

SHOWN = """JobId=7 JobName=a
   JobState={state} Reason=None Dependency=(null)
   Requeue=1 Restarts={restarts} BatchFlag=1 Reboot=0 ExitCode=0:0
   RunTime={run_time} TimeLimit={limit} TimeMin=N/A
   PreemptEligibleTime=2026-01-01T00:00:00 PreemptTime={preempted}
"""
JOB = JobOfCluster(id="7", raw_id="7", restart=2)


def shown(state: str, *, restarts: int = 2, **fields: str) -> str:
    usual = {"run_time": "00:00:50", "limit": "00:10:00", "preempted": "None"}
    return SHOWN.format(state=state, restarts=restarts, **{**usual, **fields})


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        (shown("RUNNING"), Intent.NONE),
        (shown("RUNNING", preempted="2026-01-01T00:00:00"), Intent.NONE),
        (shown("COMPLETING"), Intent.CANCEL),
        (shown("CANCELLED"), Intent.CANCEL),
        (shown("COMPLETING", restarts=3), Intent.RETURN),
        (shown("PENDING", restarts=3), Intent.RETURN),
        (shown("PENDING"), Intent.RETURN),
        (shown("COMPLETING", run_time="00:10:01"), Intent.END),
        (shown("COMPLETING", run_time="1-00:00:00", limit="23:59:59"), Intent.END),
        (shown("COMPLETING", run_time="9-00:00:00", limit="UNLIMITED"), Intent.CANCEL),
        (shown("TIMEOUT"), Intent.END),
        (shown("COMPLETING", preempted="2026-01-01T00:00:00"), Intent.TAKE),
        (shown("NODE_FAIL"), Intent.TAKE),
    ],
)
def test_the_intent_of_slurm_is_seen(text: str, intent: Intent) -> None:
    assert intent_in(text, restart=2) is intent


def test_a_job_in_an_array_is_asked_for_by_its_place() -> None:
    environment = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}
    job = JobOfCluster.from_environment({**environment, "SLURM_RESTART_COUNT": "3"})
    assert job == JobOfCluster(id="7_2", raw_id="9", restart=3)
    with pytest.raises(RunError, match="no job of Slurm"):
        JobOfCluster.from_environment({})


def provenance(*jobs: tuple[str, int, int | None]) -> dict[str, Any]:
    keys = ("slurm_job", "slurm_restart", "from_step")
    return {"jobs": [{}, *(dict(zip(keys, job, strict=True)) for job in jobs)]}


@pytest.mark.parametrize(
    ("jobs", "step", "starts"),
    [
        ((), None, 3),  # three starts, and none of them began
        ((("7", 0, 0), ("7", 1, 10), ("7", 2, 20)), None, 1),  # what this one gained is not known
        ((("7", 0, 0), ("7", 1, 10), ("7", 2, 20)), 25, 0),  # saved, five steps further
        ((("7", 0, 0), ("7", 1, 10), ("7", 2, 10)), None, 2),
        ((("7", 0, 10), ("7", 1, 10), ("7", 2, 10)), None, 3),
        ((("7", 0, 0), ("7", 1, 10)), None, 2),  # this start died before it began
        ((("7", 0, 0), ("7", 1, None), ("7", 2, None)), None, 3),
        ((("6", 0, 0), ("6", 1, 0), ("7", 2, 5)), None, 3),  # those of another job do not count
        ((("7", 0, 0), ("7", 1, 0), ("7", 2, 0)), 0, 3),  # stopped each time before a step
    ],
)
def test_starts_that_gain_no_step_are_counted(jobs: Any, step: int | None, starts: int) -> None:
    assert fruitless_starts(provenance(*jobs), JOB, ended=(0, 1), step=step) == starts


def test_starts_that_slurm_took_are_not_counted() -> None:
    """Six preemptions before the first checkpoint, and then a fault: that is the first one."""
    job = JobOfCluster(id="7", raw_id="7", restart=6)
    begun = provenance(*(("7", restart, 0) for restart in range(7)))
    assert fruitless_starts(begun, job, ended=()) == 1
    assert fruitless_starts(begun, job, ended=(0, 4, 6)) == 3
    gained = provenance(("7", 0, 0), ("7", 1, 10), ("7", 6, 10))
    assert fruitless_starts(gained, job, ended=(0, 1)) == 2


def test_a_run_that_has_no_job_yet_has_gained_nothing() -> None:
    assert fruitless_starts(None, JOB, ended=(0, 1)) == 3


def test_faults_of_nodes_are_told_from_faults_of_people() -> None:
    ecc = "RunError: rank 3 failed: RuntimeError: CUDA error: uncorrectable ECC error encountered"
    assert is_fault_of_node(ecc) and may_pass(ecc) and rank_that_failed(ecc) == 3
    disk = "OSError: [Errno 5] Input/output error: '/data/x'"
    assert is_fault_of_node(disk) and rank_that_failed(disk) == 0
    assert may_pass("WorkerError: killed") and not is_fault_of_node("WorkerError: killed")
    assert not may_pass("ValueError: [Errno 57]") and not may_pass("RuntimeError: CUDA error")


def test_a_scontrol_that_fails_is_tried_again(scontrol: FakeScontrol) -> None:
    scontrol.says("show job 7", shown("PENDING"))
    scontrol.fails(2)
    assert intent_for(JOB) is Intent.RETURN
    scontrol.says("requeue 7", "")
    scontrol.fails(leaving.TRIES)  # and then the answer was lost: it will be started
    assert requeue(JOB)
    scontrol.fails(99)
    assert not requeue(JOB)
    assert intent_for(JOB) is Intent.NONE


@pytest.fixture
def nodes(scontrol: FakeScontrol) -> FakeScontrol:
    scontrol.says("show job 7", "JobId=7 NumNodes=1 Partition=low ExcNodeList=node4")
    scontrol.says("show hostnames node4", "node4\n")
    scontrol.says("update JobId=7 ExcNodeList=node2,node4", "")
    return scontrol


def test_a_node_is_left_if_there_are_others(nodes: FakeScontrol) -> None:
    nodes.says("show partition low", "PartitionName=low TotalNodes=3")
    assert avoid_node(JOB, "node2")
    assert nodes.calls()[-1] == "update JobId=7 ExcNodeList=node2,node4"


def test_the_last_node_is_not_left(nodes: FakeScontrol) -> None:
    nodes.says("show partition low", "PartitionName=low TotalNodes=2")
    assert not avoid_node(JOB, "node2")
    assert not any(call.startswith("update") for call in nodes.calls())


def test_a_rank_is_found_on_its_node(scontrol: FakeScontrol) -> None:
    scontrol.says("show hostnames gpu[1-3]", "gpu1\ngpu2\ngpu3\n")
    step = {"SLURM_STEP_NODELIST": "gpu[1-3]", "SLURM_STEP_TASKS_PER_NODE": "2(x2),1"}
    found = [node_of_rank(rank, step) for rank in range(6)]
    assert found == ["gpu1", "gpu1", "gpu2", "gpu2", "gpu3", None]
    assert node_of_rank(0, {}) is None


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeScontrol:
    monkeypatch.setattr(leaving, "_PAUSE_SECONDS", 0.0)
    fake = FakeScontrol(tmp_path / "bin")
    monkeypatch.setenv("PATH", fake.path)
    return fake

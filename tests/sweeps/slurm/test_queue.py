"""What squeue and sacct say of jobs; programs of the same names stand for them."""

import os
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from runner.errors import RunError
from runner.sweeps.slurm import queue
from runner.sweeps.slurm.queue import QueuedJob, QueueUnavailable, read_queue, why
from runner.sweeps.slurm.reasons import ENDED, WAITING
from tests.sweeps.slurm.programs import Commands, calls_in


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path, monkeypatch)


def test_tasks_of_arrays_and_jobs_are_told_apart(commands: Commands) -> None:
    commands(
        "squeue",
        "7_0   |RUNNING |None      |0   |2 |node[1-2]|\n"
        "7_1   |FAILED  |NonZeroExitCode|768|0|node1 |\n"
        "8     |PENDING |Priority  |0   |0 |         |\n"
        "9     |PENDING |Priority  |0   |0 |         |\n",
    )
    assert read_queue(["7_0", "7_1", "8", "7_2"]) == {
        "7_0": QueuedJob(id="7_0", state="RUNNING", nodes="node[1-2]", restarts=2),
        "7_1": QueuedJob(
            id="7_1", state="FAILED", reason="NonZeroExitCode", nodes="node1", exit_code=3
        ),
        "8": QueuedJob(id="8", state="PENDING", reason="Priority"),
    }


def test_one_call_asks_for_all_jobs(commands: Commands) -> None:
    calls = commands("squeue", "")
    read_queue([f"{job}_{task}" for job in (7, 8) for task in range(500)])
    (call,) = calls_in(calls)
    assert call.endswith(f"--user={os.getuid()} --jobs=7,8")


def test_thousands_of_jobs_are_not_named(commands: Commands) -> None:
    calls = commands("squeue", "")
    read_queue([str(job) for job in range(3000)], users=[0])
    (call,) = calls_in(calls)
    assert call.endswith("--user=0") and "--jobs" not in call


def test_users_who_share_a_sweep_are_asked_for_together(commands: Commands) -> None:
    calls = commands("squeue", "")
    read_queue(["7", "8"], users=[os.getuid(), 0, 0])
    users = ",".join(str(user) for user in sorted({0, os.getuid()}))
    assert f"--user={users} " in calls_in(calls)[0]


def test_a_user_without_a_name_is_not_asked_for(commands: Commands) -> None:
    calls = commands("squeue", "")
    read_queue(["7", "8"], users=[4_000_000])
    assert "--user" not in calls_in(calls)[0]


def test_the_settings_of_a_user_change_nothing(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQUEUE_STATES", "PD")
    calls = commands("squeue", "")
    read_queue(["7"])
    assert not calls_in(calls)[0].startswith("PD")


def test_nothing_is_asked_for_no_jobs(commands: Commands) -> None:
    calls = commands("squeue", "")
    assert read_queue([]) == {}
    assert not calls_in(calls)


def test_a_job_that_is_gone_is_absent(commands: Commands) -> None:
    commands("squeue", error="slurm_load_jobs error: Invalid job id specified", code=1)
    assert read_queue(["7"]) == {}


def test_headings_and_fields_of_later_slurms_are_passed_over(commands: Commands) -> None:
    commands("squeue", "CLUSTER: big\n7|RUNNING|None|0|0|node1|more|\n\n")
    assert read_queue(["7"])["7"].nodes == "node1"


def test_what_squeue_forgot_sacct_knows(commands: Commands) -> None:
    commands("squeue", "7_0|RUNNING|None|0|0|node1|\n")
    calls = commands(
        "sacct",
        "7_1|FAILED|3:0|node1|JobArrayTaskLimit\n"
        "7_2|OUT_OF_MEMORY|0:125|node1|None\n"
        "7_[3-7:2,11-12%2]|CANCELLED by 0|0:0|None assigned|JobHeldUser\n"
        "9|FAILED|0:9|node2|None\n"
        "10|RUNNING|0:0|node2|None\n",
    )
    ids = ["7_0", "7_1", "7_2", "7_3", "7_4", "7_5", "7_12", "9", "10"]
    found = read_queue(ids)
    assert [call.split()[-1] for call in calls_in(calls)] == ["--jobs=10,7,9"]
    assert found.keys() == set(ids) - {"7_4", "10"}  # what squeue does not know is not running
    assert found["7_1"].exit_code == 3
    assert (found["7_2"].exit_code, found["7_2"].signal) == (None, None)
    assert found["7_12"].state == "CANCELLED" and found["7_12"].nodes == ""
    assert found["9"].signal == 9


@pytest.mark.parametrize("tool", ["squeue", "sacct"])
@pytest.mark.parametrize(("age", "is_alive"), [(10, True), (40, False)])
def test_a_lost_job_may_come_back_for_some_seconds(
    commands: Commands, tool: str, age: float, is_alive: bool
) -> None:
    end = datetime.fromtimestamp(time.time() - age).isoformat(timespec="seconds")
    line = {
        "squeue": f"7|NODE_FAIL|None|0|0|node1|{end}|\n",
        "sacct": f"7|NODE_FAIL|1:0|node1|None|{end}\n",
    }
    commands("squeue", "")
    commands(tool, line[tool])
    assert read_queue(["7"])["7"].is_alive == is_alive


def test_the_planned_end_of_a_job_at_work_is_none(commands: Commands) -> None:
    commands("squeue", "7|RUNNING|None|0|0|node1|2020-01-01T00:00:00|\n")
    job = read_queue(["7"])["7"]
    assert job.is_alive and job.ended_at is None


def test_without_accounting_sacct_is_left_alone_for_a_while(commands: Commands) -> None:
    commands("squeue", "")
    calls = commands("sacct", error="Slurm accounting storage is disabled", code=1)
    for _ in range(3):
        assert read_queue(["7", "8"]) == {}
    assert len(calls_in(calls)) == 1


def test_a_controller_that_does_not_answer_can_be_asked_again(commands: Commands) -> None:
    commands("squeue", error="a warning\nUnable to contact slurm controller", code=1)
    with pytest.raises(QueueUnavailable, match="Unable to contact slurm controller"):
        read_queue(["7"])


def test_a_call_that_hangs_is_given_up(commands: Commands) -> None:
    with pytest.raises(QueueUnavailable, match="did not answer within 0.1 s"):
        queue.run_slurm([sys.executable, "-c", "import time; time.sleep(9)"], seconds=0.1)


def test_without_squeue_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="squeue is not on this machine") as caught:
        read_queue(["7"])
    assert not isinstance(caught.value, QueueUnavailable)


@pytest.mark.parametrize(
    "state",
    [*ENDED, "PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED", "NEW_IN_SLURM_99"],
)
def test_a_job_waits_or_is_at_work_or_is_over(state: str) -> None:
    job = QueuedJob(id="7", state=state)
    assert [job.is_waiting, job.is_at_work, job.is_over].count(True) == 1
    assert job.is_over or not job.is_passing


def test_a_state_of_later_slurms_is_not_an_end() -> None:
    assert not QueuedJob(id="7", state="NEW_IN_SLURM_99").is_over


def test_states_before_a_requeue_are_told() -> None:
    passing = {state for state in ENDED if QueuedJob(id="7", state=state).is_passing}
    assert passing == {"NODE_FAIL", "PREEMPTED", "BOOT_FAIL"}


def test_why_is_a_sentence() -> None:
    def told(state: str, reason: str = "", **more: int) -> str:
        return why(QueuedJob(id="7_1", state=state, reason=reason, nodes="node1", **more))

    assert told("RUNNING") == "running on node1"
    assert told("PENDING", "Priority") == (
        "pending: jobs with a higher priority are before it (Priority)"
    )
    assert "time_limit" in told("PENDING", "PartitionTimeLimit")
    assert "scontrol release 7_1" in told("PENDING", "JobHeldUser")
    assert "drained" in told("PENDING", "ReqNodeNotAvail, UnavailableNodes:node2")
    assert "drained" in told("PENDING", "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved")
    assert "one user may" in told("PENDING", "QOSMaxCpuPerUserLimit")
    assert "the account may use" in told("PENDING", "AssocGrpGRES")
    assert told("PENDING", "Unheard") == "pending: Unheard"
    assert told("FAILED", "NonZeroExitCode", exit_code=3) == "failed with exit code 3"
    assert told("FAILED", signal=9) == "ended by SIGKILL"
    assert "could not start it" in told("FAILED", "JobLaunchFailure", signal=53)
    assert "memory_gb" in told("OUT_OF_MEMORY")


def test_every_reason_makes_a_sentence() -> None:
    for reason in WAITING:
        told = why(QueuedJob(id="7", state="PENDING", reason=reason))
        assert told.startswith("pending: ") and "{" not in told

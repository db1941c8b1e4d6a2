"""A task of a job, in a process of its own beside a scontrol that says what a test wants."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from runner.errors import Interrupted
from runner.run.directory import RunDirectory
from runner.run.status import Status, read_raw_status, write_status
from runner.sweeps.slurm.aftermath import main, teardown_lines
from runner.sweeps.slurm.comeback import crash_loop
from runner.sweeps.slurm.leaving import JobOfCluster
from runner.sweeps.slurm.work import SlurmWork
from tests.sweeps.slurm.scontrol import FakeScontrol

RUNNING = "JobId=7 JobState=RUNNING Restarts=0"
COMPLETING = "JobId=7 JobState=COMPLETING Restarts=0 RunTime=00:01:00 TimeLimit=01:00:00"
CALL = "import cloudpickle, sys; cloudpickle.load(open(sys.argv[1], 'rb'))()"


class Task:
    """One task of job 7, whose run is in `run`."""

    def __init__(self, folder: Path, scontrol: FakeScontrol) -> None:
        self.folder, self.scontrol = folder, scontrol
        self.run = RunDirectory(folder / "run")

    def of(self, do: Callable[[], object], *, retries: int = 5) -> SlurmWork:
        return SlurmWork(
            work=cloudpickle.dumps(do),
            path=tuple(sys.path),
            log=self.run.console,
            run=self.run.path,
            retries=retries,
        )

    def start(
        self, do: Callable[[], object], *, rank: int = 0, restart: int = 0, **knobs: Any
    ) -> "subprocess.Popen[str]":
        file = self.folder / "work.pkl"
        file.write_bytes(cloudpickle.dumps(self.of(do, **knobs)))
        slurm = {
            "SLURM_JOB_ID": "7",
            "SLURM_PROCID": str(rank),
            "SLURM_RESTART_COUNT": f"{restart}",
        }
        return subprocess.Popen(
            [sys.executable, "-c", CALL, str(file)],
            env={**os.environ, **slurm, "PATH": self.scontrol.path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, do: Callable[[], object], **knobs: Any) -> tuple[int, str]:
        process = self.start(do, **knobs)
        words, _ = process.communicate(timeout=60)
        return process.returncode, words

    @property
    def words(self) -> str:
        return self.run.console.read_text()

    @property
    def status(self) -> Status | None:
        return read_raw_status(self.run.status)

    def stands(self, state: str, **facts: Any) -> None:
        write_status(self.run.status, Status(state=state, **facts))

    def has_ended(self, *restarts: int) -> None:
        """Let these starts have ended by themselves, and not by Slurm."""
        self.run.logs.mkdir(parents=True, exist_ok=True)
        self.run.slurm_ends.write_text("".join(f"7 {restart}\n" for restart in restarts))


@pytest.fixture
def task(tmp_path: Path) -> Task:
    scontrol = FakeScontrol(tmp_path / "bin")
    scontrol.says("show job 7", RUNNING)
    scontrol.says("requeue 7", "")
    return Task(tmp_path, scontrol)


def stopped_by(number: int) -> Callable[[], int]:
    return lambda: 128 + number


def test_work_that_is_done_returns_and_its_words_are_in_its_log(task: Task) -> None:
    task.run.logs.mkdir(parents=True)
    task.run.console.write_text("of before\n")

    def do() -> int:
        print("in Python")  # noqa: T201
        os.system("echo in the shell >&2")
        return 0

    assert task.end(do) == (0, "")
    assert task.words.splitlines() == ["of before", "in Python", "in the shell"]
    assert task.scontrol.calls() == []


def test_an_error_is_a_failure_and_brings_nothing_back(task: Task) -> None:
    assert task.end(lambda: 3) == (3, "")

    def do() -> None:
        raise ValueError("no luck")

    assert task.end(do)[0] == 1
    assert "ValueError: no luck" in task.words
    assert task.end(lambda: sys.exit("no more"))[0] == 1
    assert task.words.endswith("no more\n")
    assert task.scontrol.calls() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT])
def test_a_signal_that_comes_before_training_brings_the_job_back(
    task: Task, number: signal.Signals
) -> None:
    sign = task.folder / "here"

    def do() -> int:
        sign.touch()
        time.sleep(60)  # as an import that takes long
        return 0

    process = task.start(do)
    while not sign.exists():
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert task.scontrol.calls().count("requeue 7") == 1  # a thread may look behind it
    assert f"was stopped by {number.name} and is requeued" in task.words


def test_a_signal_that_made_an_import_fail_is_a_stop(task: Task) -> None:
    def do() -> int:
        try:
            signal.raise_signal(signal.SIGUSR2)
        except BaseException as error:
            raise ImportError("could not be imported") from error
        return 0

    assert task.end(do)[0] == 0
    assert "was stopped by SIGUSR2 and is requeued" in task.words


def test_signals_that_come_while_the_job_leaves_change_nothing(task: Task) -> None:
    def do() -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Interrupted(signal.SIGUSR2)

    slow = task.folder / "bin" / "scontrol"
    slow.write_text(slow.read_text().replace("cd ", "kill -TERM $PPID; kill -USR2 $PPID; cd ", 1))
    assert task.end(do)[0] == 0
    assert task.scontrol.calls()[-1] == "requeue 7"


def test_a_cancelled_job_stays_away(task: Task) -> None:
    task.scontrol.says("show job 7", COMPLETING)
    task.stands("preempted", step=12)
    assert task.end(stopped_by(signal.SIGTERM))[0] == 128 + signal.SIGTERM
    assert task.status == Status(state="cancelled", step=12)
    assert "requeue 7" not in task.scontrol.calls()


def test_a_job_that_comes_back_anyhow_is_left_to_slurm(task: Task) -> None:
    task.scontrol.says("show job 7", COMPLETING.replace("Restarts=0", "Restarts=1"))
    assert task.end(stopped_by(signal.SIGTERM))[0] == 0
    assert "requeue 7" not in task.scontrol.calls()


def test_a_job_that_cannot_come_back_fails(task: Task) -> None:
    (task.folder / "bin" / "answers" / "requeue 7").unlink()
    task.stands("preempted", step=3)
    assert task.end(stopped_by(signal.SIGUSR2))[0] == 128 + signal.SIGUSR2
    assert "COULD NOT BE requeued" in task.words
    assert task.status == Status(state="preempted", step=3)


def test_a_job_whose_starts_gain_no_step_is_given_up(task: Task) -> None:
    task.stands("preempted", step=10)
    jobs = [
        {"time": 1.0, "slurm_job": "7", "slurm_restart": restart, "from_step": step}
        for restart, step in enumerate((0, 10, 10))
    ]
    task.run.provenance.write_text(json.dumps({"format_version": 1, "jobs": jobs}))
    task.has_ended(0, 1)
    assert task.end(stopped_by(signal.SIGUSR2), restart=2, retries=2)[0] == 0
    assert task.end(stopped_by(signal.SIGUSR2), restart=2, retries=1)[0] != 0
    assert task.status is not None and task.status.state == "failed"
    assert "2 starts of Slurm job 7 in a row gained no step" in (task.status.error or "")
    task.stands("preempted", step=11)
    assert task.end(stopped_by(signal.SIGUSR2), restart=2, retries=1)[0] == 0


def test_a_start_that_crashed_behind_a_new_checkpoint_has_gained(task: Task) -> None:
    jobs = [{"time": 1.0, "slurm_job": "7", "slurm_restart": 1, "from_step": 0}]
    task.run.provenance.parent.mkdir(parents=True, exist_ok=True)
    task.run.provenance.write_text(json.dumps({"format_version": 1, "jobs": jobs}))
    task.has_ended(0)  # stopped before it began
    job = JobOfCluster(id="7", raw_id="7", restart=1)
    assert crash_loop(job, task.run.path, retries=1, how="was killed") is not None
    saved = task.run.checkpoints / "step_00000015"
    saved.mkdir(parents=True)
    assert crash_loop(job, task.run.path, retries=1, how="was killed") is not None  # a torn one
    (saved / "manifest.json").touch()
    assert crash_loop(job, task.run.path, retries=1, how="was killed") is None


def test_starts_that_slurm_took_leave_a_job_all_its_retries(task: Task) -> None:
    taken = "JobId=7 JobState=PREEMPTED Restarts={0}"
    for restart in range(3):
        task.scontrol.says("show job 7", taken.format(restart))
        assert task.end(stopped_by(signal.SIGTERM), restart=restart, retries=0)[0] == 0
    task.scontrol.says("show job 7", RUNNING.replace("Restarts=0", "Restarts=3"))
    assert task.end(stopped_by(signal.SIGUSR2), restart=3, retries=1)[0] == 0
    assert task.end(stopped_by(signal.SIGUSR2), restart=3, retries=1)[0] == 0, "it is the same one"
    task.scontrol.says("show job 7", RUNNING.replace("Restarts=0", "Restarts=4"))
    assert task.end(stopped_by(signal.SIGUSR2), restart=4, retries=1)[0] != 0


@pytest.mark.parametrize("state", ["completed", "pruned"])
def test_a_run_that_is_over_is_not_begun_again(task: Task, state: str) -> None:
    task.stands(state)
    assert task.end(lambda: 1, restart=1) == (0, "")


def test_other_ranks_leave_the_decision_to_the_first(task: Task) -> None:
    assert task.end(stopped_by(signal.SIGUSR2), rank=1)[0] == 0
    assert task.scontrol.calls() == []


def test_another_rank_that_failed_stays_until_srun_ends_it_and_keeps_no_connection(
    task: Task,
) -> None:
    """If it left, srun would end rank 0 before it has written why; it hears by the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        port = server.getsockname()[1]

        def fail() -> int:
            connection = socket.create_connection(("127.0.0.1", port))
            os.set_inheritable(connection.detach(), True)
            return 4

        process = task.start(fail, rank=1)
        connection, _ = server.accept()
        connection.settimeout(30)
        assert connection.recv(1) == b"", "it was not closed"
        connection.close()
    time.sleep(0.5)
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 4
    assert task.scontrol.calls() == []


def test_a_fault_that_may_pass_brings_the_job_back_without_the_node(task: Task) -> None:
    task.stands("failed", error="RuntimeError: CUDA error: uncorrectable ECC error", step=4)
    assert task.end(lambda: 1)[0] == 0
    assert "requeue 7" in task.scontrol.calls()
    assert task.status == Status(state="preempted", step=4)


def test_a_job_that_slurm_ends_as_it_requeues_it_has_said_so_before(task: Task) -> None:
    task.stands("failed", error="RuntimeError: CUDA error: uncorrectable ECC error", step=4)
    prompt = task.folder / "bin" / "scontrol"
    kill = "case $1 in requeue) kill -KILL $PPID;; esac; cd "
    prompt.write_text(prompt.read_text().replace("cd ", kill, 1))
    assert task.end(lambda: 1)[0] == -signal.SIGKILL
    assert task.status == Status(state="preempted", step=4)


def test_a_fault_that_may_pass_stays_if_the_job_cannot_come_back(task: Task) -> None:
    (task.folder / "bin" / "answers" / "requeue 7").unlink()
    failed = Status(state="failed", error="WorkerError: rank 1 was killed", step=4)
    write_status(task.run.status, failed)
    assert task.end(lambda: 1)[0] == 1
    assert task.status == failed


@pytest.fixture
def pickled(task: Task, monkeypatch: pytest.MonkeyPatch) -> Path:
    from submitit.helpers import DelayedSubmission

    monkeypatch.setenv("PATH", task.scontrol.path)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    folder = task.folder / "slurm"
    folder.mkdir()
    DelayedSubmission(task.of(lambda: 0, retries=0)).dump(folder / "7_submitted.pkl")
    return folder


def test_a_killed_task_is_brought_back_by_the_batch_script(task: Task, pickled: Path) -> None:
    task.stands("running")
    script = "\n".join(["(exit 137)", "# teardown", *teardown_lines(sys.executable, pickled)])
    done = subprocess.run(["bash", "-c", script], check=False)
    assert done.returncode == 1
    assert "given up" not in task.words and "SIGKILL" in task.words
    assert task.status is not None and task.status.state == "failed", "no retries were left"


@pytest.mark.parametrize("state", ["failed", "completed", "cancelled"])
def test_a_job_that_told_its_end_is_left_alone(task: Task, pickled: Path, state: str) -> None:
    task.stands(state)
    assert not main([str(pickled), "137"])
    assert task.scontrol.calls() == []
    assert task.status == Status(state=state)


def test_a_signal_before_the_work_goes_through_submitit(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert task.of(lambda: 0).checkpoint() is not None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "5")
    task.has_ended(0, 1, 2, 3, 4)
    assert task.of(lambda: 0).checkpoint() is None
    assert task.status is not None and task.status.state == "failed"

"""The states of runs once Slurm is asked."""

from pathlib import Path

import pytest

from runner.run.status import Status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.slurm.book import JobBook
from runner.sweeps.slurm.queue import QueuedJob
from runner.sweeps.slurm.standing import book_of, standing_of, state_of, where_of
from runner.sweeps.summary import RunRow, summarize
from tests.sweeps.slurm.programs import Commands, calls_in, line
from tests.sweeps.sweep_directories import begin, done, failed, plan


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path, monkeypatch)


def submitted(path: Path, ids: dict[int, str]) -> SweepDirectory:
    sweep = plan(path, [[f"seed={seed}"] for seed in range(len(ids))])
    book = JobBook(sweep.slurm)
    book.submitting("sweep-1", list(ids))
    book.submitted("sweep-1", ids)
    return sweep


def rows_of(sweep: SweepDirectory) -> list[RunRow]:
    standing = standing_of(sweep.slurm)
    assert standing is not None
    return standing.seen(summarize(sweep).rows)


@pytest.mark.parametrize(
    ("status", "slurm", "shown"),
    [
        ("queued", "PENDING", "queued"),
        ("running", "PENDING", "queued"),  # requeued by the loss of its node
        ("lost", "REQUEUED", "queued"),
        ("preempted", "PENDING", "queued"),
        ("failed", "PENDING", "queued"),  # tried again
        ("queued", "CONFIGURING", "queued"),
        ("queued", "RUNNING", "running"),  # python starts
        ("preempted", "RUNNING", "running"),
        ("lost", "RUNNING", "running"),
        ("running", "COMPLETING", "running"),
        ("failed", "COMPLETING", "failed"),
        ("preempted", "COMPLETING", "preempted"),
        ("running", "TIMEOUT", "lost"),
        ("running", "NODE_FAIL", "lost"),
        ("queued", "FAILED", "lost"),
        ("running", "PREEMPTED", "preempted"),
        ("preempted", "TIMEOUT", "preempted"),
        ("failed", "FAILED", "failed"),
        ("running", "CANCELLED", "cancelled"),
        ("queued", "CANCELLED", "cancelled"),
        ("failed", "CANCELLED", "failed"),
        ("completed", "PENDING", "completed"),
        ("pruned", "CANCELLED", "pruned"),
    ],
)
def test_the_state_is_what_slurm_makes_of_it(status: str, slurm: str, shown: str) -> None:
    assert state_of(status, QueuedJob(id="7", state=slurm)) == shown


def test_where_a_job_is_in_a_word() -> None:
    def where(state: str, reason: str = "", nodes: str = "") -> str:
        return where_of(QueuedJob(id="7", state=state, reason=reason, nodes=nodes))

    assert where("RUNNING", nodes="node[1-2]") == "node[1-2]"
    assert where("PENDING", "ReqNodeNotAvail, UnavailableNodes:n1") == "pending: ReqNodeNotAvail"
    assert where("PENDING") == "pending"
    assert where("TIMEOUT", "TimeLimit", "node1") == "timeout"


def test_every_run_is_seen_with_its_job_in_one_call(tmp_path: Path, commands: Commands) -> None:
    sweep = submitted(tmp_path / "s", {0: "7_0", 1: "7_1", 2: "7_2", 3: "7_3", 4: "8"})
    begin(sweep, 0, done(0.5))
    begin(sweep, 1, failed("RuntimeError: boom"))
    begin(sweep, 2, Status(state="preempted", jobs=1))
    JobBook(sweep.slurm).ended("7_1")
    text = line("7_2", "PENDING", "BeginTime") + line("7_3", "RUNNING", nodes="node2")
    calls = commands("squeue", text)
    rows = rows_of(sweep)
    assert len(calls_in(calls)) == 1
    assert [row.state for row in rows] == ["completed", "failed", "queued", "running", "lost"]
    assert [row.job for row in rows] == ["7_0", None, "7_2", "7_3", "8"]
    assert [row.where for row in rows] == ["", "", "pending: BeginTime", "node2", ""]
    assert rows[2].why.startswith("pending: ") and not rows[3].why
    assert "Slurm knows no job 8 any more" in rows[4].why


def test_without_slurm_the_files_speak_and_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sweep = submitted(tmp_path / "s", {0: "7_0"})
    standing = standing_of(sweep.slurm)
    assert standing is not None and standing.problem is not None
    assert "squeue is not on this machine" in standing.problem
    (row,) = standing.seen(summarize(sweep).rows)
    assert (row.state, row.job, row.where) == ("queued", "7_0", "")


def test_slurm_is_not_asked_for_a_sweep_that_it_never_had(tmp_path: Path) -> None:
    assert standing_of(plan(tmp_path / "s", [["seed=1"]]).slurm) is None


def test_the_job_of_a_run_stands_in_the_book_of_its_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = submitted(tmp_path / "s", {0: "7_0", 1: "7_1"})
    begin(sweep, 1, done(0.5))
    assert book_of(sweep.path) == (sweep.slurm, None)
    assert book_of(sweep.path / "1") == (sweep.slurm, 1)
    monkeypatch.chdir(sweep.path / "1")
    assert book_of(Path()) == (sweep.slurm, 1)
    assert book_of(tmp_path / "alone") == (tmp_path / "alone" / "slurm.jsonl", 0)

"""The pool between a sweep and a cluster that is played: what it believes, and what it sends."""

import json
import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.errors import RunError
from runner.sweeps.pool import Ended, Home, RunOfJob
from runner.sweeps.slurm import outbox, pool, standing
from runner.sweeps.slurm.book import JobBook
from runner.sweeps.slurm.outbox import SlurmSetup
from runner.sweeps.slurm.pool import SlurmPool, jobs_at_work
from runner.sweeps.slurm.queue import QueuedJob, QueueUnavailable
from runner.sweeps.slurm.submission import QueueFullError, Submission
from runner.sweeps.slurm.work import SlurmWork


@dataclass
class Cluster:
    """Takes jobs, shows them as `states` says, and remembers what it was told."""

    clock: float = 1000.0
    states: dict[str, str] = field(default_factory=dict)
    arrays: list[int] = field(default_factory=list)  # the sizes of those taken
    told: list[Sequence[str]] = field(default_factory=list)
    named: str = ""  # what squeue shows of jobs of an unconfirmed name
    room: int = 10**6
    trouble: Exception | None = None
    ended_at: float | None = None  # of all that have
    users: set[int] = field(default_factory=set)  # for whose jobs it was asked

    def submit(self, submission: Submission, works: Sequence[SlurmWork]) -> list[str]:
        if self.trouble is not None:
            raise self.trouble
        if submission.parameters.get("partition") == "nope":
            raise RunError("the cluster refused the jobs: invalid partition specified: nope")
        if len(works) > self.room:
            raise QueueFullError("the cluster takes no more jobs now: full")
        self.room -= len(works)
        self.arrays.append(len(works))
        ids = [f"{len(self.arrays)}_{task}" for task in range(len(works))]
        self.states |= dict.fromkeys(ids, "PENDING")
        return ids

    def read(self, ids: Collection[str], *, users: Collection[int]) -> dict[str, QueuedJob]:
        self.users |= set(users)
        if self.trouble is not None:
            raise self.trouble
        return {
            id: QueuedJob(id=id, state=self.states[id], exit_code=3, ended_at=self.ended_at)
            for id in ids
            if id in self.states
        }

    def run(self, command: Sequence[str]) -> str:
        if self.trouble is not None:
            raise self.trouble
        if command[0] == "squeue":
            assert "--all" in command and command[-2].startswith("--name=")
            return self.named
        self.told.append(command)
        return ""

    def sleep(self, seconds: float) -> None:
        self.clock += seconds


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(Submission, "submit", lambda self, works: cluster.submit(self, works))
    for module in (pool, outbox):
        monkeypatch.setattr(module, "run_slurm", cluster.run)
        monkeypatch.setattr(module.time, "monotonic", lambda: cluster.clock)
    for module in (pool, standing):
        monkeypatch.setattr(module, "read_queue", cluster.read)
    monkeypatch.setattr(pool.time, "sleep", cluster.sleep)
    monkeypatch.setattr(outbox, "max_array_size", lambda: 4)
    monkeypatch.setattr(
        outbox.Outbox, "_parameters", lambda _, resources, __: {"partition": resources.partition}
    )
    return cluster


Opener = Callable[..., SlurmPool]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    """Open the pool of the same sweep, again and again."""
    home = Home(name="plate ocr", book=tmp_path / "slurm.jsonl", folder=tmp_path / "slurm")
    return lambda **options: SlurmPool(SlurmSetup(**options), home)


def work() -> int:
    return 0


def submit(pool: SlurmPool, numbers: Sequence[int], **hardware: object) -> None:
    for number in numbers:
        run = RunOfJob(directory=Path(str(number)), config={"hardware": {"slurm": hardware}})
        pool.submit(number, work, log=Path("log"), run=run)


def wait(pool: SlurmPool, cluster: Cluster, seconds: float) -> list[Ended]:
    """Let time pass; return what has ended."""
    ended, end = [], cluster.clock + seconds
    while cluster.clock < end:
        ended += pool.poll(0.25)
        cluster.sleep(0.01)
    return ended


def test_jobs_that_ask_for_the_same_go_together_as_many_as_an_array_may_have(
    cluster: Cluster, opened: Opener, tmp_path: Path
) -> None:
    jobs = opened()
    submit(jobs, range(0, 12, 2), memory_gb=1)
    submit(jobs, range(1, 5, 2), memory_gb=2)
    jobs.poll(0.0)
    assert cluster.arrays == [4, 2, 2]
    assert jobs.ids == {0: "1_0", 2: "1_1", 4: "1_2", 6: "1_3", 8: "2_0", 10: "2_1"} | {
        1: "3_0",
        3: "3_1",
    }
    assert JobBook(tmp_path / "slurm.jsonl").last_ids == jobs.ids


@pytest.mark.parametrize(
    ("state", "seconds", "end"),
    [
        ("COMPLETED", 0, Ended(number=0, exit_code=0)),
        ("OUT_OF_MEMORY", 3, Ended(number=0, signal=9, exceeded="memory")),
        ("TIMEOUT", 3, Ended(number=0, signal=15, exceeded="time")),
        ("CANCELLED", 3, Ended(number=0, signal=15, is_cancelled=True)),
        ("NODE_FAIL", 30, Ended(number=0, signal=9)),
        (None, 30, Ended(number=0, signal=9)),  # Slurm has forgotten it
    ],
)
def test_an_end_is_believed_when_it_lasts(
    cluster: Cluster, opened: Opener, state: str | None, seconds: float, end: Ended
) -> None:
    jobs = opened()
    submit(jobs, [0])
    jobs.poll(0.0)
    cluster.states = {"1_0": "RUNNING"}
    wait(jobs, cluster, 2)
    cluster.states = {} if state is None else {"1_0": state}
    begin = cluster.clock
    while not (ended := jobs.poll(0.25)):
        cluster.sleep(0.01)
        assert cluster.clock < begin + 60
    assert ended == [end]
    assert seconds <= cluster.clock - begin < seconds + 3
    assert jobs.ids == {} and opened().adopt() == set()


@pytest.mark.parametrize("last", [None, "PENDING", "REQUEUED"])
def test_a_job_that_is_gone_from_the_queue_was_cancelled(
    cluster: Cluster, opened: Opener, last: str | None
) -> None:
    jobs = opened()
    submit(jobs, [0, 1])
    if last is not None:
        jobs.poll(0.0)
        cluster.states = dict.fromkeys(("1_0", "1_1"), "RUNNING")
        wait(jobs, cluster, 3)
        cluster.states["1_0"] = last
        assert wait(jobs, cluster, 60) == []
    else:  # at once, before it was seen
        jobs._send()
    cluster.states = {"1_1": "RUNNING"}
    assert wait(jobs, cluster, 40) == [Ended(number=0, signal=15, is_cancelled=True)]
    assert jobs.ids == {1: "1_1"}


def test_a_job_that_another_submitted_and_is_gone_was_cancelled(
    cluster: Cluster, opened: Opener
) -> None:
    first = opened()
    submit(first, [0])
    first.poll(0.0)
    second = opened()
    assert second.adopt() == {0}
    cluster.states = {}
    assert wait(second, cluster, 40) == [Ended(number=0, signal=15, is_cancelled=True)]


def test_of_a_job_that_may_have_run_unseen_nothing_is_believed(
    cluster: Cluster, opened: Opener
) -> None:
    jobs = opened()
    submit(jobs, [0])
    jobs.poll(0.0)
    cluster.trouble = QueueUnavailable("busy")
    assert wait(jobs, cluster, 400) == []  # long enough to run and to be forgotten
    cluster.trouble, cluster.states = None, {}
    assert wait(jobs, cluster, 50) == [Ended(number=0, signal=9)]


def test_a_failure_names_the_first_words_of_the_job(
    cluster: Cluster, opened: Opener, tmp_path: Path
) -> None:
    jobs = opened()
    submit(jobs, [0])
    jobs.poll(0.0)
    cluster.states = {"1_0": "FAILED"}
    log = tmp_path / "slurm" / "1_0_0_log.out"
    assert wait(jobs, cluster, 6) == [Ended(number=0, exit_code=3, log=log)]


@pytest.mark.parametrize("passing", ["NODE_FAIL", "PREEMPTED", None])
def test_a_job_that_comes_back_has_not_ended(
    cluster: Cluster, opened: Opener, passing: str | None
) -> None:
    jobs = opened()
    submit(jobs, [0])
    for state in ("RUNNING", passing, "PENDING", "RUNNING", passing, "PENDING"):
        cluster.states = {} if state is None else {"1_0": state}
        assert wait(jobs, cluster, 20) == []
    cluster.states = {"1_0": "COMPLETED"}
    assert wait(jobs, cluster, 5) == [Ended(number=0, exit_code=0)]


def test_a_cluster_that_does_not_answer_is_asked_again(cluster: Cluster, opened: Opener) -> None:
    jobs = opened()
    submit(jobs, [0])
    jobs.poll(0.0)
    cluster.trouble = QueueUnavailable("busy")
    submit(jobs, [1])
    assert wait(jobs, cluster, 60) == []
    place = jobs.whereabouts(1)
    assert (place.text, place.is_there, place.is_waiting) == ("busy", False, True)
    cluster.trouble = None
    assert wait(jobs, cluster, 40) == []
    assert jobs.ids == {0: "1_0", 1: "2_0"}
    # Nobody knew whether it had been taken.
    (told,) = cluster.told
    assert told[0] == "scancel" and told[1].startswith("--name=plate_ocr-")


def test_a_full_cluster_gets_what_it_takes_and_the_rest_later(
    cluster: Cluster, opened: Opener
) -> None:
    jobs = opened()
    cluster.room = 3
    submit(jobs, range(8))
    jobs.poll(0.0)
    assert sum(cluster.arrays) == 3
    assert jobs.whereabouts(7).text == "the cluster takes no more jobs now: full"
    cluster.room = 100
    wait(jobs, cluster, 40)
    assert sorted(jobs.ids) == list(range(8))


def test_a_refusal_is_told_and_nothing_of_it_is_there(cluster: Cluster, opened: Opener) -> None:
    jobs = opened()
    cluster.trouble = RunError("the cluster refused the jobs: no")
    submit(jobs, [0])
    with pytest.raises(RunError, match="refused"):
        jobs.poll(0.0)
    cluster.trouble = None
    assert (opened().adopt(), cluster.told) == (set(), [])


@pytest.mark.parametrize("order", [("nope", "low"), ("low", "nope")])
def test_what_the_cluster_refuses_ends_and_the_others_go_on(
    cluster: Cluster, opened: Opener, tmp_path: Path, order: Sequence[str]
) -> None:
    jobs = opened()
    for partition in order:
        first = 10 * order.index(partition)
        submit(jobs, range(first, first + 6), partition=partition)
    refused = 10 * order.index("nope")
    why = "the cluster refused the jobs: invalid partition specified: nope"
    assert jobs.poll(0.25) == [
        Ended(number=number, exit_code=1, refusal=why) for number in range(refused, refused + 6)
    ]
    assert (cluster.arrays, len(jobs.ids)) == ([4, 2], 6)
    assert not JobBook(tmp_path / "slurm.jsonl").unconfirmed
    assert wait(jobs, cluster, 20) == []
    submit(jobs, [99], partition="nope")  # of a sweep that has begun, even alone
    assert [end.number for end in wait(jobs, cluster, 1)] == [99]


def test_another_process_takes_over_what_is_there(cluster: Cluster, opened: Opener) -> None:
    first = opened()
    submit(first, range(4))
    first.poll(0.0)
    cluster.states |= {"1_0": "COMPLETED", "1_1": "NODE_FAIL", "1_2": "RUNNING", "1_3": "FAILED"}
    second = opened()
    assert second.adopt() == {1, 2}
    cluster.states |= {"1_1": "COMPLETED", "1_2": "COMPLETED"}
    assert {end.number for end in wait(second, cluster, 5)} == {1, 2}


def test_jobs_that_were_lost_long_ago_are_not_taken_over(
    cluster: Cluster, opened: Opener, tmp_path: Path
) -> None:
    first = opened()
    submit(first, range(3))
    first.poll(0.0)
    cluster.states = {"1_0": "NODE_FAIL", "1_1": "PREEMPTED", "1_2": "BOOT_FAIL"}
    book = tmp_path / "slurm.jsonl"
    cluster.ended_at = time.time() - 10
    assert jobs_at_work(book) == {0, 1, 2}
    cluster.ended_at = time.time() - 40
    assert jobs_at_work(book) == set()
    assert opened().adopt() == set() and JobBook(book).last_ids == {}


def test_what_another_user_has_submitted_is_found(
    cluster: Cluster, opened: Opener, tmp_path: Path
) -> None:
    lines = [
        {"event": "submitting", "name": "a", "numbers": [0], "user": 4_000_001},
        {"event": "submitted", "name": "a", "ids": {"0": "99"}},
        {"event": "submitting", "name": "b", "numbers": [1], "user": 4_000_002},
    ]
    book = tmp_path / "slurm.jsonl"
    book.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    cluster.states = {"99": "RUNNING"}
    jobs = opened()
    assert jobs.adopt() == {0}
    assert cluster.told[0] == ["scancel", "--name=b", "--user=4000002"]
    submit(jobs, [2])
    jobs.poll(0.0)
    cluster.users.clear()
    wait(jobs, cluster, 2)
    assert cluster.users == {4_000_001, 4_000_002, os.getuid()}


def test_what_a_killed_process_submitted_last_is_withdrawn(
    cluster: Cluster, opened: Opener, tmp_path: Path
) -> None:
    book = JobBook(tmp_path / "slurm.jsonl")
    book.submitting("plate_ocr-1", [0, 1])
    (tmp_path / "slurm").mkdir()
    left = tmp_path / "slurm" / f"{'0' * 32}.pkl"  # what its jobs would wait for
    left.touch()
    cluster.trouble = QueueUnavailable("busy")
    with pytest.raises(QueueUnavailable):
        opened().adopt()
    assert book.unconfirmed and left.exists()
    cluster.trouble = None
    assert opened().adopt() == set()
    assert cluster.told == [["scancel", "--name=plate_ocr-1", f"--user={os.getuid()}"]]
    assert not book.unconfirmed and not left.exists()


@pytest.mark.parametrize("is_stuck", [False, True])
def test_what_is_withdrawn_saves_and_leaves_before_it_is_sent_again(
    cluster: Cluster, opened: Opener, tmp_path: Path, is_stuck: bool
) -> None:
    book = JobBook(tmp_path / "slurm.jsonl")
    book.submitting("plate_ocr-1", [0])
    cluster.named = "7\n"
    jobs = opened()
    submit(jobs, [0])  # looks at the code, for which the clock of this test may run
    assert jobs.adopt() == set() and book.unconfirmed
    wait(jobs, cluster, 60)
    assert cluster.arrays == [] and not jobs.whereabouts(0).is_there
    assert jobs.whereabouts(0).text.endswith("is being cancelled")
    if is_stuck:  # on a node that does not let go of it
        wait(jobs, cluster, 70)
    else:
        cluster.named = ""
        wait(jobs, cluster, 4)
    assert cluster.arrays == [1] and not book.unconfirmed


def test_jobs_are_cancelled_together_and_those_not_sent_are_dropped(
    cluster: Cluster, opened: Opener
) -> None:
    jobs = opened()
    submit(jobs, [0, 1])
    jobs.poll(0.0)
    cluster.room = 0
    submit(jobs, [2])
    jobs.poll(0.0)
    cluster.trouble = QueueUnavailable("busy")
    for number in (0, 1, 2):
        jobs.stop(number)
    assert wait(jobs, cluster, 20) == [Ended(number=2, signal=15, is_cancelled=True)]
    cluster.trouble = None
    assert wait(jobs, cluster, 20) == []
    assert cluster.told[0] == ["scancel", "1_0", "1_1"]
    cluster.states = {"1_0": "CANCELLED"}  # of a task that waited nothing remains
    ends = wait(jobs, cluster, 6)
    assert [(end.number, end.is_cancelled) for end in ends] == [(0, True), (1, True)]


def test_a_search_has_no_more_jobs_than_it_may(cluster: Cluster, opened: Opener) -> None:
    jobs = opened(most=2)
    submit(jobs, [0])
    jobs.poll(0.0)
    submit(jobs, [1])
    assert not jobs.has_room()
    cluster.states = {"1_0": "COMPLETED"}
    wait(jobs, cluster, 3)
    assert jobs.has_room()

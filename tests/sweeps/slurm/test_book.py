import json
import os
from pathlib import Path

import pytest

from runner.sweeps.slurm.book import JobBook, ids_in_words


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "slurm.jsonl"


def test_it_knows_the_last_job_of_each_run(path: Path) -> None:
    book = JobBook(path)
    assert (book.last_ids, book.unconfirmed, book.opening) == ({}, {}, None)
    book.submitting("a", [0, 1, 2])
    book.submitted("a", {0: "7_0", 1: "7_1", 2: "7_2"})
    book.ended("7_1")
    book.submitting("b", [0])
    book.submitted("b", {0: "8"})
    assert JobBook(path).last_ids == {0: "8", 2: "7_2"}
    assert not JobBook(path).unconfirmed


def test_the_end_of_an_earlier_job_leaves_the_one_that_is_alive(path: Path) -> None:
    book = JobBook(path)
    book.submitted("a", {0: "7"})
    book.submitted("b", {0: "8"})
    book.ended("7")
    assert book.last_ids == {0: "8"}
    book.ended("8")
    assert book.last_ids == {}


def test_what_was_being_submitted_at_a_kill_is_unconfirmed_until_it_is_withdrawn(
    path: Path,
) -> None:
    JobBook(path).submitting("a", [0, 1])
    book = JobBook(path)
    assert (book.unconfirmed, book.last_ids, book.is_unused) == ({"a": os.getuid()}, {}, False)
    book.not_submitted("a")
    assert (JobBook(path).unconfirmed, book.is_unused) == ({}, True)


def test_a_torn_line_is_not_read_and_the_next_one_is_whole(path: Path) -> None:
    JobBook(path).submitting("a", [0])
    with path.open("a") as file:
        file.write('{"event": "submitted", "name": "a", "ids"')
    book = JobBook(path)
    assert book.unconfirmed.keys() == {"a"}
    book.submitted("a", {0: "9"})
    assert (JobBook(path).last_ids, JobBook(path).unconfirmed) == ({0: "9"}, {})


def test_users_who_share_a_sweep_are_told_apart(path: Path) -> None:
    lines = [
        {"event": "submitting", "name": "a", "numbers": [0]},  # of its owner, by an older runner
        {"event": "submitted", "name": "a", "ids": {"0": "7"}},
        {"event": "submitting", "name": "b", "numbers": [1], "user": 4_000_001},
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    book = JobBook(path)
    book.submitting("c", [2])
    assert book.users == [os.getuid(), 4_000_001]
    assert book.unconfirmed == {"b": 4_000_001, "c": os.getuid()}


def test_the_last_opening_counts(path: Path) -> None:
    book = JobBook(path)
    book.opened({"wait": True}, {"seed": 1})
    book.submitting("a", [0])
    book.opened({"wait": False}, {"seed": 2})
    assert book.opening is not None
    assert book.opening["launcher"] == {"wait": False}
    assert book.opening["config"] == {"seed": 2}
    assert book.is_ours


def test_ids_are_told_in_few_words() -> None:
    assert ids_in_words([]) == ""
    assert ids_in_words(["7"]) == "job 7"
    assert ids_in_words(["7_3"]) == "job 7_3"
    assert ids_in_words(["7_0", "7_2", "7_1", "7_9", "8"]) == "jobs 7_[0-2,9], 8"

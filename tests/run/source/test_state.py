import json
from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from runner.run.provenance import read_provenance
from runner.run.session import JobDescription, Session, open_session
from runner.run.source.state import (
    code_of_process,
    code_state,
    code_when_submitted,
    write_submitted,
)
from tests.sweeps.codebase.repositories import make_repository, write

JOB = JobDescription(name="tiny", config={}, overrides=[], command=[])
THEN = {"commit": "abc" * 9, "diff": ""}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_repository(tmp_path / "own", {"net.py": "layers = 1\n"})
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of which the environment tells this process."""
    path = tmp_path / "code.json"
    monkeypatch.setenv("RUNNER_CODE", str(path))
    return path


def begin(path: Path) -> Session:
    with open_session(RunDirectory(path), JOB, continue_completed=True) as session:
        return session


def test_a_job_of_a_snapshot_records_the_code_of_then(
    root: Path, order: Path, tmp_path: Path
) -> None:
    write_submitted(order, THEN, is_snapshot=True)
    for number, text in enumerate(("layers = 1\n", "layers = 2\n")):
        write(root / "net.py", text)
        assert begin(tmp_path / "run").warnings == []
        provenance = read_provenance(RunDirectory(tmp_path / "run").provenance)
        assert provenance["code"] == THEN
        assert ["code" in job for job in provenance["jobs"]] == [False] * (number + 1)


def test_a_later_start_with_a_newer_snapshot_tells_the_change(
    root: Path, order: Path, tmp_path: Path
) -> None:
    write_submitted(order, THEN, is_snapshot=True)
    begin(tmp_path / "run")
    write_submitted(order, {**THEN, "diff": "x"}, is_snapshot=True)
    (told,) = begin(tmp_path / "run").warnings
    assert "THE CODE HAS CHANGED since the last job of this run" in told


def test_a_job_without_one_records_what_it_runs_and_tells_the_change_since_its_submission(
    root: Path, order: Path, tmp_path: Path
) -> None:
    write_submitted(order, code_state(root), is_snapshot=False)
    assert begin(tmp_path / "unchanged").warnings == []
    write(root / "net.py", "layers = 2\n")
    (told,) = begin(tmp_path / "run").warnings
    assert "THE CODE HAS CHANGED since this job was submitted" in told
    assert begin(tmp_path / "run").warnings == [], "told once: the last job had this code"
    provenance = read_provenance(RunDirectory(tmp_path / "run").provenance)
    assert provenance["code"] == code_state(root) and "layers = 2" in provenance["code"]["diff"]
    assert ["code" in job for job in provenance["jobs"]] == [False, False]


def test_on_a_node_without_git_the_code_is_taken_to_be_that_of_the_submission(
    root: Path, order: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_submitted(order, THEN, is_snapshot=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_of_process() == THEN


@pytest.mark.parametrize("damage", [None, "", "[]", json.dumps({"state": THEN})])
def test_a_lost_or_damaged_order_is_told_and_ends_no_job(
    root: Path, order: Path, caplog: pytest.LogCaptureFixture, damage: str | None
) -> None:
    if damage is not None:
        order.write_text(damage)
    assert code_of_process() == code_state(root)
    assert str(order) in caplog.text


def test_a_job_that_was_in_no_queue_knows_of_no_submission(root: Path) -> None:
    assert code_when_submitted() is None
    assert code_of_process() == code_state(root)


def test_a_run_in_the_repository_is_no_change_of_the_code(root: Path) -> None:
    path = root / "results" / "own" / "1"
    begin(path)
    write(path / "plots" / "draw.py", "x = 1\n")
    assert begin(path).warnings == []
    provenance = read_provenance(RunDirectory(path).provenance)
    assert provenance["code"]["diff"] == "" and provenance["source"]["left_out"] == {}
    assert [{"code", "source"} & job.keys() for job in provenance["jobs"]] == [set(), set()]

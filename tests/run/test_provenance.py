import subprocess
from pathlib import Path

import pytest

from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.provenance import (
    change_of_code,
    code_of_last_job,
    read_provenance,
    write_provenance,
)
from runner.run.session import JobDescription, Session, open_session

JOB = JobDescription(name="tiny", config={}, overrides=[], command=[])


def session_of(path: Path) -> Session:
    with open_session(RunDirectory(path), JOB, continue_completed=True) as session:
        return session


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "model.py").write_text("layers = 1\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    monkeypatch.chdir(folder)
    return folder


def test_other_code_is_told_with_both_commits_and_the_size_of_both_diffs(
    code: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    first = git(code, "rev-parse", "HEAD")
    assert session_of(run).warnings == []
    assert session_of(run).warnings == [], "nothing has changed"

    (code / "model.py").write_text("layers = 2\n")
    (edited,) = session_of(run).warnings
    size = len(git(code, "diff", "HEAD").splitlines())
    assert "THE CODE HAS CHANGED" in edited
    assert f"it was commit {first[:12]} with an uncommitted diff of 0 lines" in edited
    assert f"it is commit {first[:12]} with an uncommitted diff of {size} lines" in edited
    assert session_of(run).warnings == [], "told once: the last job had this code"

    git(code, "commit", "-qam", "second")
    (committed,) = session_of(run).warnings
    second = git(code, "rev-parse", "HEAD")
    assert f"commit {first[:12]} with an uncommitted diff of {size} lines" in committed
    assert f"commit {second[:12]} with an uncommitted diff of 0 lines" in committed

    provenance = read_provenance(RunDirectory(run).provenance)
    assert provenance["code"] == {"commit": first, "diff": ""}
    assert code_of_last_job(provenance) == {"commit": second, "diff": ""}
    assert ["code" in job for job in provenance["jobs"]] == [False, False, True, False, True]


def test_code_outside_any_repository_is_no_change_by_itself() -> None:
    none = {"commit": None, "diff": None}
    assert change_of_code(none, dict(none)) is None
    told = change_of_code({"commit": "abc", "diff": None}, none)
    assert told is not None and "it is in no git repository" in told


def test_code_that_cannot_be_compared_is_told_so_and_not_as_changed() -> None:
    none = {"commit": None, "diff": None}
    for before, now in (
        ({"commit": "abc", "diff": ""}, none),
        (none, {"commit": "abc", "diff": ""}),
    ):
        told = change_of_code(before, now) or ""
        assert "in no git repository" in told and "commit abc" in told
        assert "whether the code is that of the last job of this run is not known" in told
        assert "CHANGED" not in told and "0 lines" not in told


def test_the_command_and_the_environment_in_run_json_have_stars_for_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # in no repository
    word = "tok-3Zk81-of-nobody"
    monkeypatch.setenv("MY_TOKEN", word)
    monkeypatch.setenv("HF_HOME", f"/cache/{word}")
    monkeypatch.setenv("RUNNER_MIRROR", "http://me:hunter2@host")
    words = [f"+note={word}", "uri=http://me:hunter2@host"]
    job = JobDescription(name="tiny", config={}, overrides=words, command=["python", *words])
    with open_session(RunDirectory(tmp_path / "run"), job):
        pass
    text = (tmp_path / "run" / "run.json").read_text()
    assert word not in text and "hunter2" not in text
    provenance = read_provenance(tmp_path / "run" / "run.json")
    shown = ["+note=***", "uri=http://me:***@host"]
    assert provenance["jobs"][0]["command"] == ["python", *shown]
    assert provenance["jobs"][0]["overrides"] == shown
    assert provenance["environment"]["HF_HOME"] == "/cache/***"
    assert provenance["environment"]["RUNNER_MIRROR"] == "http://me:***@host"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"jobs": [{}]}, "job 1 has no time"),
        ({"jobs": {"a": 1}}, "jobs is no list"),
        ({"jobs": ["a"]}, "jobs is no list"),
        ({"jobs": [{"time": float("nan")}]}, "job 1 has no time"),
        ({"jobs": [{"time": 1.0, "overrides": "lr=1"}]}, "overrides of job 1"),
        ({"jobs": [{"time": 1.0, "command": [1]}]}, "command of job 1"),
        ({"code": {}}, "code is no commit"),
        ({"code": {"commit": 1, "diff": ""}}, "code is no commit"),
        ({"name": {"a": 1}}, "name must be the name of a file"),
        ({"name": None}, "name must be the name of a file"),
    ],
    ids=str,
)
def test_a_damaged_file_is_told_in_a_sentence(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    path = session_of(tmp_path / "run").directory.provenance
    write_provenance(path, {**read_provenance(path), **change})
    with pytest.raises(RunError, match=said):
        read_provenance(path)

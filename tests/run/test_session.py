import json
import signal
from pathlib import Path

import pytest

from runner.errors import ConfigError, DataError, Interrupted, RunError
from runner.run.directory import RunDirectory
from runner.run.provenance import read_provenance
from runner.run.session import JobDescription, open_session
from runner.run.status import read_status


def description(**changes: object) -> JobDescription:
    defaults = {"name": "n", "config": {"seed": 1}, "overrides": ["seed=1"], "command": ["c"]}
    return JobDescription(**{**defaults, **changes})  # type: ignore[arg-type]


def test_the_status_tells_what_happened(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    with open_session(directory, description()) as session:
        session.standing = lambda: {"step": 7, "score": 0.5}
        running = read_status(directory)
    done = read_status(directory)
    assert running is not None and done is not None
    assert (running.state, running.jobs) == ("running", 1)
    assert (done.state, done.step, done.score, done.error) == ("completed", 7, 0.5, None)
    assert not directory.lease.exists()


def test_a_damaged_journal_is_told_with_its_lines_and_the_run_goes_on(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    directory.path.mkdir()
    directory.journal.write_text("null\n{garbage\n", encoding="utf-8")
    with open_session(directory, description()) as session:
        (told,) = session.warnings
    assert str(directory.journal) in told and told.endswith("in line 1, 2")


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (Interrupted(signal.SIGTERM), "preempted"),
        (KeyboardInterrupt(), "cancelled"),
        (ValueError("no luck"), "failed"),
        (SystemExit(3), "failed"),
    ],
)
def test_an_ended_job_leaves_its_reason(tmp_path: Path, failure: BaseException, state: str) -> None:
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(type(failure)), open_session(directory, description()):
        raise failure
    status = read_status(directory)
    assert status is not None and status.state == state
    assert (status.error is not None) == (state == "failed")


def test_an_unfinished_run_is_continued_and_a_finished_one_is_not(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(Interrupted), open_session(directory, description()) as session:
        first_id = session.id
        raise Interrupted(15)
    with open_session(directory, description(overrides=["seed=1", "x=2"])) as session:
        assert session.id == first_id
    provenance = json.loads(directory.provenance.read_text())
    assert [job["overrides"] for job in provenance["jobs"]] == [["seed=1"], ["seed=1", "x=2"]]
    with pytest.raises(RunError, match="finished run"), open_session(directory, description()):
        pytest.fail("entered a finished run")
    status = read_status(directory)
    assert status is not None and (status.state, status.jobs) == ("completed", 2)
    with open_session(directory, description(), continue_completed=True):
        pass


def test_a_running_run_without_a_holder_is_lost(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    with open_session(directory, description()):
        content = directory.status.read_text()
    directory.status.write_text(content)
    status = read_status(directory)
    assert status is not None and status.state == "lost"


def test_a_directory_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    with open_session(directory, description()):
        pass
    provenance = json.loads(directory.provenance.read_text())
    directory.provenance.write_text(json.dumps({**provenance, "format_version": 99}))
    with (
        pytest.raises(RunError, match="format 99"),
        open_session(directory, description(), continue_completed=True),
    ):
        pytest.fail("entered a directory of a newer format")


def full_disk() -> None:
    raise OSError("no space left")


def test_a_journal_that_cannot_be_closed_fails_the_job_and_gives_the_directory_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(tmp_path / "run")
    with (
        pytest.raises(OSError, match="no space"),
        open_session(directory, description()) as session,
    ):
        monkeypatch.setattr(session.journal, "sync", full_disk)
    status = read_status(directory)
    assert status is not None
    assert (status.state, status.error) == ("failed", "OSError: no space left")
    assert not directory.lease.exists()


@pytest.mark.parametrize("failure", [ValueError("no luck"), Interrupted(signal.SIGTERM)])
def test_a_full_disk_at_the_end_hides_no_earlier_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(type(failure)), open_session(directory, description()) as session:
        monkeypatch.setattr(session.journal, "sync", full_disk)
        raise failure
    status = read_status(directory)
    assert status is not None
    assert status.state == ("failed" if isinstance(failure, ValueError) else "preempted")
    assert not directory.lease.exists()


def test_a_status_that_cannot_be_written_does_not_keep_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(ValueError, match="no luck"), open_session(directory, description()):
        monkeypatch.setattr("runner.run.session.write_status", lambda *_: full_disk())
        raise ValueError("no luck")
    assert not directory.lease.exists()
    status = read_status(directory)
    assert status is not None and status.state == "lost"


def test_another_config_is_refused_by_its_keys_and_changes_nothing(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(Interrupted), open_session(directory, description()):
        raise Interrupted(15)
    before = directory.provenance.read_text(), directory.config.read_text()
    other = description(config={"seed": 2, "trainer": {"max_steps": 9, "patience": 3}})
    with (
        pytest.raises(RunError, match=r"differs in seed, trainer\.patience: use another"),
        open_session(directory, other),
    ):
        pytest.fail("entered the run of another config")
    assert (directory.provenance.read_text(), directory.config.read_text()) == before
    status = read_status(directory)
    assert status is not None and status.state == "preempted"
    longer = description(config={"seed": 1, "trainer": {"max_steps": 9}})
    with open_session(directory, longer):
        pass


def test_a_job_that_lost_the_directory_leaves_the_status_to_the_other(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(RunError), open_session(directory, description()):
        holder = json.loads(directory.lease.read_text())
        directory.lease.write_text(json.dumps({**holder, "token": "other"}))
        before = directory.status.read_text()
        raise RunError("taken over")
    assert directory.status.read_text() == before
    assert json.loads(directory.lease.read_text())["token"] == "other"


def test_a_job_that_is_refused_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    first = JobDescription(name="x", config={"seed": 1}, overrides=[], command=[])
    with open_session(directory, first):
        pass
    paths = (directory.config, directory.provenance, directory.status)
    before = [path.read_text() for path in paths]
    longer = JobDescription(name="x", config={"seed": 1, "trackers": {}}, overrides=[], command=[])
    with (
        pytest.raises(ConfigError, match="refused"),
        open_session(directory, longer, continue_completed=True),
    ):
        raise ConfigError("refused while it was being built")
    assert [path.read_text() for path in paths] == before
    with (
        pytest.raises(ConfigError, match="later"),
        open_session(directory, longer, continue_completed=True) as session,
    ):
        session.begin(step=0)
        raise ConfigError("later")
    assert read_status(directory).state == "failed"  # type: ignore[union-attr]


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_run_that_never_began_for_its_config_leaves_nothing(
    tmp_path: Path, exists: bool
) -> None:
    directory = RunDirectory(tmp_path / "run")
    if exists:
        directory.path.mkdir()
    with pytest.raises(ConfigError), open_session(directory, description()):
        directory.logs.mkdir()
        directory.log_of_rank(0).write_text("begun\n")
        raise ConfigError("wrong")
    assert directory.path.exists() == exists  # what was there before stays, empty
    assert not list(tmp_path.glob("run/*")) + list(tmp_path.glob("run/.*"))


@pytest.mark.parametrize("failure", [RunError("no luck"), ValueError("no luck")])
def test_one_that_failed_otherwise_leaves_its_reason(tmp_path: Path, failure: Exception) -> None:
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(type(failure)), open_session(directory, description()):
        raise failure
    assert read_status(directory).state == "failed"  # type: ignore[union-attr]


def test_a_directory_that_held_something_tells_why_its_run_failed(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.logs.mkdir()
    directory.console.write_text("of the pool that started this job")
    with pytest.raises(ConfigError), open_session(directory, description()):
        raise ConfigError("wrong")
    assert read_status(directory).state == "failed"  # type: ignore[union-attr]
    assert directory.console.exists()


def test_what_others_put_into_a_new_directory_stays(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(DataError), open_session(directory, description()):
        (directory.path / "mine.txt").write_text("mine")
        raise DataError("no data")
    assert [path.name for path in directory.path.iterdir() if path.name[0] != "."] == ["mine.txt"]


def test_each_job_tells_where_the_run_stood_when_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(tmp_path / "run")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    for restart, step in enumerate((0, None, 12)):
        monkeypatch.setenv("SLURM_RESTART_COUNT", str(restart))
        with pytest.raises(ValueError), open_session(directory, description()) as session:
            if step is not None:  # the second job fails while it is built
                session.begin(step=step)
            raise ValueError("no luck")
    jobs = read_provenance(directory.provenance)["jobs"]
    told = [(job["slurm_job"], job["slurm_restart"], job["from_step"]) for job in jobs]
    assert told == [("7", 0, 0), ("7", 1, None), ("7", 2, 12)]


def test_a_run_that_began_keeps_its_directory(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(ConfigError), open_session(directory, description()) as session:
        session.begin(step=0)
        raise ConfigError("later")
    assert read_status(directory).state == "failed"  # type: ignore[union-attr]

"""`resume` of a run that is completed: it trains longer, or changes nothing and says so."""

import shutil
from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from runner.run.status import Status, read_raw_status, write_status
from tests.commands.command import call, only_run


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, three steps each, with a CSV file: never change it, copy it."""
    folder = tmp_path_factory.mktemp("completed")
    short = ("data.batch_size=512", "trainer.max_epochs=2", "callbacks=none", "trackers=csv")
    done = call(*short, cwd=folder)
    assert done.returncode == 0, done.stderr
    return only_run(folder)


@pytest.fixture
def run(completed: Path, tmp_path: Path) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(completed, tmp_path / "run")))


def contents(run: RunDirectory) -> dict[Path, tuple[bytes, int]]:
    files = [path for path in run.path.rglob("*") if path.is_file()]
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def status_of(run: RunDirectory) -> Status:
    status = read_raw_status(run.status)
    assert status is not None
    return status


@pytest.mark.parametrize(
    ("overrides", "ended_by"),
    [
        ((), "max_epochs"),
        (("trainer.max_epochs=2",), "max_epochs"),
        (("trainer.max_steps=6", "trainer.max_epochs=3"), "max_steps"),
        (("trainer.max_steps=1000",), "max_epochs"),
        (("hydra/launcher=local", "data.num_workers=2"), "max_epochs"),
    ],
)
def test_a_completed_run_that_is_not_to_train_longer_is_not_touched(
    overrides: tuple[str, ...], ended_by: str, run: RunDirectory
) -> None:
    before = contents(run)
    done = call("resume", "run", *overrides, cwd=run.path.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "run is completed at step=6, and nothing was changed; to train longer: "
        f"python -m runner resume run trainer.{ended_by}=...\n"
    )
    assert contents(run) == before


@pytest.mark.parametrize("limit", ["max_steps=5", "max_epochs=1"])
def test_less_than_is_done_is_refused(limit: str, run: RunDirectory) -> None:
    before = contents(run)
    done = call("resume", "run", f"trainer.{limit}", cwd=run.path.parent)
    assert done.returncode == 2
    assert f"trainer.{limit} is less than is done" in done.stderr
    assert contents(run) == before


def test_a_run_that_was_ended_by_its_patience_cannot_be_trained_longer(run: RunDirectory) -> None:
    text = run.config.read_text().replace("max_epochs: 2", "max_epochs: 9")
    run.config.write_text(text.replace("patience: null", "patience: 1"))
    done = call("resume", "run", "trust=true", cwd=run.path.parent)
    assert done.returncode == 0, done.stderr
    assert "nothing was changed; it ended for want of a better score" in done.stdout


def test_a_completed_run_gives_its_trackers_what_they_lack(run: RunDirectory) -> None:
    lines = run.table.read_text()
    run.table.unlink()
    run.tracker("csv").unlink()
    done = call("resume", "run", cwd=run.path.parent)
    assert done.returncode == 0, done.stderr
    assert "trackers.csv: " in done.stdout and "rows delivered, 0 were there" in done.stdout
    assert run.table.read_text() == lines and status_of(run).jobs == 1


def test_what_was_not_completed_is_finished(run: RunDirectory) -> None:
    rows = run.journal.read_text().splitlines(keepends=True)
    assert '"test"' in rows[-1]
    run.journal.write_text("".join(rows[:-1]))  # killed before its test was done
    write_status(run.status, Status(state="running", step=6, jobs=1))
    done = call("resume", "run", cwd=run.path.parent)
    assert done.returncode == 0, done.stderr
    assert (status_of(run).state, status_of(run).jobs) == ("completed", 2)
    assert '"test"' in run.journal.read_text()


def test_another_tracker_is_fed_by_a_job(run: RunDirectory) -> None:
    done = call("resume", "run", "trackers=tensorboard", cwd=run.path.parent)
    assert done.returncode == 0, done.stderr
    assert status_of(run).jobs == 2 and list(run.path.rglob("events.*"))

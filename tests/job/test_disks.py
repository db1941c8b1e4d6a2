"""A disk that is full, or cannot be written, while a run trains: told, and nothing is lost."""

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.checkpoint.manifest import committed_steps
from runner.errors import RunnerError
from runner.job.fit import Job, fit
from runner.run.directory import RunDirectory
from runner.run.session import JobDescription
from runner.run.status import read_status
from runner.training.callback import Callback, Fit
from tests.job.places import assert_ends_like, options
from tests.trackers.mlflow.world import wait_until
from tests.training.harness import final_state, journal_of, same, tiny_parts, train

BEGIN, END = 5, 11  # the steps between which the disk refuses


class Trouble(Callback):
    """Makes trouble after step BEGIN, and mends it after step END if it ever ends."""

    def __init__(
        self, begin: Callable[[], Any], end: Callable[[], Any], *, forever: bool = False
    ) -> None:
        self._begin, self._end, self._forever = begin, end, forever

    def on_step_end(self, fit: Fit) -> None:
        if fit.progress.step == BEGIN:
            wait_until(lambda: committed_steps(fit.directory.checkpoints) == [BEGIN - 1])
            self._begin()
        if fit.progress.step == END and not self._forever:
            self._end()


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("straight")
    train(path, options())
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path))
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        return subprocess.CompletedProcess(arguments, 1, "", str(error))


def fill(disk: Path) -> None:
    space = os.statvfs(disk)
    with (disk / "ballast").open("wb") as file:
        file.write(bytes(space.f_bavail * space.f_frsize - 8192))


def fit_with_checkpoints_in(folder: Path, path: Path, trouble: Callback) -> None:
    job = Job(
        directory=RunDirectory(path),
        description=JobDescription(name="tiny", config={}, overrides=[], command=[]),
        build=lambda ranks: tiny_parts(options(), ranks=ranks, callbacks={"trouble": trouble}),
        trackers={},
        checkpoint_dir=str(folder),
    )
    fit(job)


def log_of(path: Path) -> str:
    return (path / "logs" / "rank_0.log").read_text()


def test_a_disk_that_is_full_for_a_while_costs_checkpoints_only(disk: Path, straight: Path) -> None:
    path = disk / "run"
    trouble = Trouble(lambda: fill(disk), (disk / "ballast").unlink)
    train(path, options(), callbacks={"trouble": trouble})
    assert "checkpoint failed step=" in log_of(path)
    assert journal_of(path) == journal_of(straight)
    assert same(final_state(path), final_state(straight))


def test_a_disk_that_stays_full_leaves_the_last_checkpoint_to_go_on_from(
    disk: Path, straight: Path
) -> None:
    path = disk / "run"
    trouble = Trouble(lambda: fill(disk), list, forever=True)
    with pytest.raises((OSError, RunnerError)):
        train(path, options(), callbacks={"trouble": trouble})
    (disk / "ballast").unlink()
    status = read_status(RunDirectory(path))
    assert status is not None and status.state != "completed"
    (path / "lease.json").unlink(missing_ok=True)  # its process would be gone by now
    assert_ends_like(straight, path)
    assert "resumed step=4 " in log_of(path)


def test_a_limit_of_the_file_size_in_a_save_is_told_and_harms_nothing(
    tmp_path: Path, straight: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    trouble = Trouble(lambda: limit(1000), lambda: limit(before[0]))
    try:
        train(tmp_path / "run", options(), callbacks={"trouble": trouble})
    finally:
        limit(before[0])
    assert "checkpoint failed step=" in log_of(tmp_path / "run")
    assert journal_of(tmp_path / "run") == journal_of(straight)
    assert same(final_state(tmp_path / "run"), final_state(straight))


def test_checkpoints_that_become_read_only_for_a_while_are_told(
    disk: Path, tmp_path: Path, straight: Path
) -> None:
    path = tmp_path / "run"
    trouble = Trouble(
        lambda: mount("-o", "remount,ro", str(disk)), lambda: mount("-o", "remount,rw", str(disk))
    )
    fit_with_checkpoints_in(disk, path, trouble)
    assert "Read-only file system" in log_of(path)
    assert journal_of(path) == journal_of(straight)
    assert same(final_state(path), final_state(straight))


def test_a_run_whose_last_checkpoint_could_not_be_written_is_not_completed(
    disk: Path, tmp_path: Path, straight: Path
) -> None:
    path = tmp_path / "run"
    trouble = Trouble(lambda: mount("-o", "remount,ro", str(disk)), list, forever=True)
    with pytest.raises((OSError, RunnerError)):
        fit_with_checkpoints_in(disk, path, trouble)
    mount("-o", "remount,rw", str(disk))
    status = read_status(RunDirectory(path))
    assert status is not None and status.state == "failed"
    assert_ends_like(straight, path)


def test_a_run_directory_that_becomes_read_only_keeps_what_it_has(
    tmp_path: Path, straight: Path
) -> None:
    """Its files that are open stay writable; nothing new can be made, and no file replaced."""
    path = tmp_path / "run"

    def immutable(sign: str) -> None:
        for folder in (path, path / "checkpoints"):
            done = subprocess.run(["chattr", f"{sign}i", str(folder)], capture_output=True)
            if done.returncode != 0:
                pytest.skip("chattr +i is not permitted here")

    trouble = Trouble(lambda: immutable("+"), list, forever=True)
    try:
        with pytest.raises((OSError, RunnerError)):
            train(path, options(), callbacks={"trouble": trouble})
    finally:
        immutable("-")
    assert "checkpoint failed step=" in log_of(path)
    status = read_status(RunDirectory(path))
    assert status is not None and status.state != "completed"
    (path / "lease.json").unlink(missing_ok=True)  # its process would be gone by now
    assert_ends_like(straight, path)
    assert "resumed step=4 " in log_of(path)

"""`clean`: free the disk of checkpoints that nobody needs any more."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from runner.checkpoint.manifest import committed_steps
from runner.cli.clean import gib
from runner.run.lease import Lease
from runner.runtime.signals import StopRequests
from runner.sweeps.directory import SweepDirectory
from tests.checkpoint.strips import checkpoint
from tests.commands.command import SOURCES, call
from tests.sweeps.sweep_directories import begin, done, failed, plan


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDirectory:
    """Three completed runs and a failed one, all with a checkpoint; a queued one."""
    sweep = plan(tmp_path / "sweep", [[f"seed={seed}"] for seed in range(5)])
    for number, status in enumerate((done(0.3), done(0.1), done(0.2), failed("x"))):
        run = begin(sweep, number, status, curve=[(100, 0.5)])
        checkpoint(run.checkpoints / "step_00000100")
    return sweep


def kept(sweep: SweepDirectory) -> list[int]:
    return [n for n in range(5) if committed_steps(sweep.job(n).checkpoints)]


def test_only_the_best_completed_run_keeps_its_checkpoints(
    sweep: SweepDirectory, tmp_path: Path
) -> None:
    cleaned = call("clean", "sweep", "--yes", cwd=tmp_path)
    assert cleaned.returncode == 0, cleaned.stderr
    lines = cleaned.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["0", "2"]
    assert "of 2 runs" in cleaned.stdout and lines[-1].startswith("freed ")
    assert kept(sweep) == [1, 3]
    for number in range(4):
        run = sweep.job(number)
        assert run.config.exists() and run.journal.read_text() and run.status.exists()
    assert "nothing to delete" in call("clean", "sweep", "--yes", cwd=tmp_path).stdout


def test_it_keeps_as_many_as_asked(sweep: SweepDirectory, tmp_path: Path) -> None:
    call("clean", "sweep", "--yes", "--keep-best", "2", cwd=tmp_path)
    assert kept(sweep) == [1, 2, 3]
    call("clean", "sweep", "--yes", "--keep-best", "0", cwd=tmp_path)
    assert kept(sweep) == [3]


def test_without_a_terminal_it_does_nothing_unless_told(
    sweep: SweepDirectory, tmp_path: Path
) -> None:
    refused = call("clean", "sweep", cwd=tmp_path)
    assert refused.returncode == 1
    assert "of 2 runs" in refused.stdout  # it shows what it would delete
    assert "say --yes" in refused.stderr
    assert kept(sweep) == [0, 1, 2, 3]


@pytest.mark.parametrize(("answer", "left"), [(b"n\n", [0, 1, 2, 3]), (b"y\n", [1, 3])])
def test_on_a_terminal_it_asks(
    sweep: SweepDirectory, tmp_path: Path, answer: bytes, left: list[int]
) -> None:
    terminal, other_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "clean", "sweep"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": SOURCES},
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
    )
    os.close(other_end)
    os.write(terminal, answer)
    assert process.wait(30) == 0
    os.close(terminal)
    assert kept(sweep) == left


def test_the_best_is_the_highest_where_more_is_better(tmp_path: Path) -> None:
    sweep = plan(tmp_path / "sweep", [["seed=1"], ["seed=2"]], best_mode="max")
    for number, score in enumerate((0.9, 0.1)):
        checkpoint(begin(sweep, number, done(score)).checkpoints / "step_00000100")
    call("clean", "sweep", "--yes", cwd=tmp_path)
    assert kept(sweep) == [0]


def test_of_what_stays_the_leftovers_go(sweep: SweepDirectory, tmp_path: Path) -> None:
    partial = checkpoint(sweep.job(1).checkpoints / ".step_00000200.1.partial")
    of_failed = checkpoint(sweep.job(3).checkpoints / ".step_00000200.1.partial")
    call("clean", "sweep", "--yes", "--keep-best", "3", cwd=tmp_path)
    assert not partial.exists()
    assert of_failed.exists()  # not finished: nothing of it is touched
    assert kept(sweep) == [0, 1, 2, 3]


def test_a_single_run_is_its_own_best(sweep: SweepDirectory, tmp_path: Path) -> None:
    assert "nothing to delete" in call("clean", "sweep/0", "--yes", cwd=tmp_path).stdout
    call("clean", "sweep/0", "--yes", "--keep-best", "0", cwd=tmp_path)
    assert kept(sweep) == [1, 2, 3]


def test_what_cannot_be_deleted_is_told_in_a_sentence(
    sweep: SweepDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("runner.checkpoint.strip.shutil.rmtree", refuse)
    cleaned = call("clean", "sweep", "--yes", cwd=tmp_path)
    assert cleaned.returncode == 1
    assert "sweep/0 cannot be cleaned" in cleaned.stderr
    assert "Permission denied" in cleaned.stderr


def test_a_run_that_is_taken_meanwhile_is_left_alone(sweep: SweepDirectory, tmp_path: Path) -> None:
    lease = Lease(sweep.job(0).lease, on_beat=lambda: None, stop=StopRequests())
    lease.acquire()
    cleaned = call("clean", "sweep", "--yes", cwd=tmp_path)
    assert "sweep/0 is left alone" in cleaned.stdout
    assert kept(sweep) == [0, 1, 3]
    lease.release()


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    refused = call("clean", ".", "--yes", cwd=tmp_path)
    assert refused.returncode == 1 and "nothing in it is deleted" in refused.stderr
    wrong = call("clean", ".", "--keep-best", "-1", cwd=tmp_path)
    assert wrong.returncode == 2


def test_sizes_are_told_for_people() -> None:
    sizes = (120, 1536, 5 << 20, (1 << 30) + (1 << 29))
    assert [gib(size) for size in sizes] == ["120 bytes", "1.5 KiB", "5.0 MiB", "1.50 GiB"]

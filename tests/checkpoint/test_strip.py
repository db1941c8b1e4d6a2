"""Free the disk of checkpoints that nobody needs any more."""

import fcntl
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.checkpoint import strip as module
from runner.checkpoint.manifest import committed_steps
from runner.checkpoint.strip import leftovers, size_of, strip, sweep_up
from runner.run.directory import RunDirectory
from runner.run.lease import Lease
from runner.run.status import Status, write_status
from runner.runtime.signals import StopRequests
from tests.checkpoint.strips import checkpoint

KEPT = ("config.yaml", "run.json", "metrics.jsonl", "status.json", "logs/rank_0.log")


def run_in(
    path: Path, state: str = "completed", *, steps: tuple[int, ...] = (10, 20)
) -> RunDirectory:
    directory = RunDirectory(path)
    for name in KEPT:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("{}")
    write_status(directory.status, Status(state=state, jobs=1))
    directory.checkpoints.mkdir(exist_ok=True)
    for step in steps:
        checkpoint(directory.checkpoints / f"step_{step:08d}")
    return directory


def contents(directory: RunDirectory) -> dict[str, bytes]:
    return {name: (directory.path / name).read_bytes() for name in KEPT}


def test_all_checkpoints_go_and_nothing_else(tmp_path: Path) -> None:
    directory = run_in(tmp_path)
    checkpoint(directory.checkpoints / ".step_00000030.123.partial")
    checkpoint(directory.checkpoints / "damaged_step_00000005")
    before = contents(directory)
    freed = strip(directory)
    assert freed >= 4 * 1500
    assert not directory.checkpoints.exists()
    assert contents(directory) == before
    assert strip(directory) == 0


@pytest.mark.parametrize("state", ["running", "preempted", "failed", "cancelled", "queued"])
def test_a_run_that_is_not_over_keeps_them(tmp_path: Path, state: str) -> None:
    directory = run_in(tmp_path, state)
    assert strip(directory) == 0
    assert sweep_up(directory) == 0
    assert committed_steps(directory.checkpoints) == [10, 20]


def test_a_run_that_somebody_holds_keeps_them(tmp_path: Path) -> None:
    directory = run_in(tmp_path)
    lease = Lease(directory.lease, on_beat=lambda: None, stop=StopRequests())
    lease.acquire()
    assert strip(directory) == 0
    assert committed_steps(directory.checkpoints) == [10, 20]
    lease.release()
    assert strip(directory) > 0


def test_nobody_can_take_the_run_while_they_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, seen = run_in(tmp_path), []
    rmtree = shutil.rmtree

    def looking(path: Path, **options: bool) -> None:
        with directory.lease.with_name(".lease.json.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                seen.append("free")
            except BlockingIOError:
                seen.append("locked")
        rmtree(path, **options)

    monkeypatch.setattr(module.shutil, "rmtree", looking)
    strip(directory)
    assert set(seen) == {"locked"}


DYING = """
import os, pathlib, signal, sys
from runner.checkpoint import strip
from runner.run.directory import RunDirectory

def die_inside(path, **_):
    if path.exists():
        (path / "model.safetensors").unlink()
        os.kill(os.getpid(), signal.SIGKILL)

strip.shutil.rmtree = die_inside
strip.strip(RunDirectory(pathlib.Path(sys.argv[1])))
"""


def test_a_kill_leaves_whole_checkpoints_or_none(tmp_path: Path) -> None:
    directory = run_in(tmp_path)
    done = subprocess.run([sys.executable, "-c", DYING, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert committed_steps(directory.checkpoints) == [20]
    assert (directory.checkpoints / "step_00000020/model.safetensors").exists()
    assert strip(directory) > 0  # what was left goes at the next time
    assert not directory.checkpoints.exists()


def test_checkpoints_behind_a_link_go_with_link_and_folder(tmp_path: Path) -> None:
    """With checkpoint.dir, checkpoints/ is a link."""
    target = tmp_path / "fast" / "run_abc"
    directory = run_in(tmp_path / "run", steps=())
    directory.checkpoints.rmdir()
    target.mkdir(parents=True)
    directory.checkpoints.symlink_to(target)
    checkpoint(target / "step_00000010")
    assert strip(directory) >= 1500
    assert not directory.checkpoints.is_symlink()
    assert not target.exists()
    assert target.parent.exists()


def test_files_that_are_not_ours_stay(tmp_path: Path) -> None:
    directory = run_in(tmp_path)
    (directory.checkpoints / "notes.txt").write_text("mine")
    strip(directory)
    assert [path.name for path in directory.checkpoints.iterdir()] == ["notes.txt"]


def test_leftovers_are_what_kills_left_but_not_the_only_copy(tmp_path: Path) -> None:
    directory = run_in(tmp_path, steps=(10, 20))
    root = directory.checkpoints
    partial = checkpoint(root / ".step_00000030.123.partial")
    replaced = checkpoint(root / ".step_00000020.replaced")
    only_copy = checkpoint(root / ".step_00000040.replaced")
    damaged = checkpoint(root / "damaged_step_00000005")
    assert leftovers(root) == sorted([partial, replaced, damaged])
    assert sweep_up(directory) == pytest.approx(3 * size_of([only_copy]), abs=100)
    assert leftovers(root) == []
    assert only_copy.exists()
    assert committed_steps(root) == [10, 20]

"""A newest checkpoint that was damaged on the disk: the older one is taken, and it is told."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import Interrupted
from tests.job.places import Fault, assert_ends_like, options, send
from tests.training.harness import train


def truncate(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("straight")
    train(path, options())
    return path


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped at step 8, with an older checkpoint."""
    path = tmp_path_factory.mktemp("stopped")
    with pytest.raises(Interrupted):
        train(path, options(), callbacks={"stop": Fault("step", send(signal.SIGTERM))})
    return path


def files_of(stopped: Path) -> list[str]:
    newest = max((stopped / "checkpoints").glob("step_*"))
    return sorted(file.relative_to(newest).as_posix() for file in newest.rglob("*.*"))


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
def test_a_damaged_checkpoint_is_passed_over_for_the_older_one(
    tmp_path: Path, stopped: Path, straight: Path, damage: Callable[[Path], None]
) -> None:
    names = files_of(stopped)
    assert len(names) >= 4
    for name in names:
        path = tmp_path / name
        shutil.copytree(stopped, path)
        newest, older = sorted((path / "checkpoints").glob("step_*"), reverse=True)[:2]
        damage(newest / name)
        assert_ends_like(straight, path)
        log = (path / "logs" / "rank_0.log").read_text()
        assert f"resumed step={int(older.name[5:])} " in log, name
        if name != "manifest.json" or damage is not Path.unlink:  # else it is no checkpoint at all
            assert "checkpoint skipped step=8" in log, name
            assert (path / "checkpoints" / f"damaged_{newest.name}").is_dir()

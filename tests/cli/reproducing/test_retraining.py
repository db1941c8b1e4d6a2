"""The training that `reproduce` starts ends with it, and where it is asked to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.cli.reproducing.rerun import CodeOfThen
from runner.cli.reproducing.retraining import train_again
from runner.errors import RunError
from runner.run.directory import RunDirectory

TRAINING = """import os, signal, sys, time
from pathlib import Path

def save(*_):
    Path("saved").touch()
    sys.exit(143)

signal.signal(signal.SIGTERM, save)
Path("asked").write_text(os.environ.get("RUNNER_STOP_AFTER_STEP", ""))
{then}
"""
PARENT = """from pathlib import Path
from runner.cli.reproducing.rerun import CodeOfThen
from runner.cli.reproducing.retraining import train_again
from runner.run.directory import RunDirectory

here = Path.cwd()
code = CodeOfThen(description="", working_directory=here / "code", path=[here / "code"])
train_again(RunDirectory(here / "run"), code, {}, overrides=[], until=None)
"""


def training(folder: Path, then: str) -> Path:
    """Write a package that is taken for the runner of then."""
    (folder / "code/runner").mkdir(parents=True)
    (folder / "code/runner/__init__.py").touch()
    (folder / "code/runner/__main__.py").write_text(TRAINING.format(then=then))
    return folder / "code"


def wait_for(path: Path) -> bool:
    until = time.monotonic() + 20.0
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.02)
    return path.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_the_training_too(tmp_path: Path, number: signal.Signals) -> None:
    code = training(tmp_path, "time.sleep(60)")
    (tmp_path / "parent.py").write_text(PARENT)
    process = subprocess.Popen(
        [sys.executable, "parent.py"], cwd=tmp_path, env=dict(os.environ), process_group=0
    )
    try:
        assert wait_for(code / "asked")
        process.send_signal(number)
        assert wait_for(code / "saved")
        assert process.wait(timeout=20) != 0
    finally:
        process.kill()


def test_a_stop_that_was_asked_for_is_no_failure(tmp_path: Path) -> None:
    code = CodeOfThen(description="", working_directory=training(tmp_path, "save()"))
    run = RunDirectory(tmp_path / "run")
    train_again(run, code, {}, overrides=[], until=3, after_step=3)
    assert (tmp_path / "code/asked").read_text() == "3"
    with pytest.raises(RunError, match="exit code 143"):
        train_again(run, code, {}, overrides=[], until=None)
    assert (tmp_path / "code/asked").read_text() == ""


def test_a_runner_that_does_not_know_when_to_stop_is_stopped(tmp_path: Path) -> None:
    then = 'Path("../run/metrics.jsonl").write_text(\'{"step": 4}\\n\'); time.sleep(60)'
    code = CodeOfThen(description="", working_directory=training(tmp_path, then))
    (tmp_path / "run").mkdir()
    run = RunDirectory(tmp_path / "run")
    train_again(run, code, {}, overrides=[], until=3, after_step=3)
    assert (tmp_path / "code/saved").exists()

"""A terminal or a cluster signals the whole process group: loader workers must outlive that."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands.command import BARE, SOURCES, only_run, run
from tests.commands.test_run import status, wait_for

SLOW_DATA = """
import time

import torch

from runner import Data


class Slow:
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        time.sleep(0.05)
        return torch.randn(64), torch.tensor(index % 10)


def slow():
    return Data(train=Slow(64), evaluation=Slow(8))
"""

ARGUMENTS = (
    "data=slow",
    "data.batch_size=4",
    "data.num_workers=2",
    "trainer.max_steps=24",
    "trainer.log_every_steps=4",
    *BARE,
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_the_whole_group_saves_and_stops(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "slow_data.py").write_text(SLOW_DATA)
    conf = tmp_path / "conf" / "data"
    conf.mkdir(parents=True)
    (conf / "slow.yaml").write_text("_target_: slow_data.slow\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *ARGUMENTS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    journal = wait_for(tmp_path, "outputs/run/*/metrics.jsonl")
    while not journal.read_text():
        time.sleep(0.02)
    os.killpg(process.pid, number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number, stderr
    assert "Traceback" not in stderr
    directory = only_run(tmp_path)
    assert status(directory)["state"] == "preempted"
    stopped_at = status(directory)["step"]
    done = run("resume", str(directory), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"resumed step={stopped_at} " in done.stderr
    assert status(directory)["step"] == 24

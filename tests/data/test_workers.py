import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from torch import Tensor

from runner.config.options import LoaderOptions
from runner.data.data import MapDataset
from runner.data.epoch import Epoch
from runner.data.loader import train_loader
from runner.errors import DataError, WorkerError
from tests.training.harness import (
    Noisy,
    final_state,
    journal_of,
    same,
    tiny_data,
    tiny_options,
    train,
)


class Deadly(Noisy):
    """Kills the process that asks for the sample `index`, once: the file `mark` says so."""

    def __init__(self, mark: Path, index: int) -> None:
        self.mark, self.index = mark, index

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index == self.index and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


class Bad(Noisy):
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index == 5:
            raise DataError("pictures/5.jpg: cannot be read, leave it out")
        return super().__getitem__(index)


def epoch_of(dataset: MapDataset) -> Epoch:
    options = LoaderOptions(batch_size=4, num_workers=2, shuffle=False)
    return train_loader(dataset, options, seed=0, collate=None, pin_memory=False).epoch(0)


def test_a_data_error_in_a_worker_keeps_its_sentence() -> None:
    with pytest.raises(DataError, match=r"^pictures/5.jpg: cannot be read, leave it out$"):
        epoch_of(Bad()).take(2)


def test_a_worker_that_was_killed_ends_the_run_which_loses_nothing(tmp_path: Path) -> None:
    straight, killed, mark = tmp_path / "straight", tmp_path / "killed", tmp_path / "mark"
    options = tiny_options(max_epochs=2)
    options = replace(
        options,
        loader=replace(options.loader, num_workers=1),
        checkpoint=replace(options.checkpoint, every="3 steps"),
    )
    data = tiny_data(train=Deadly(mark, index=7))
    mark.touch()
    train(straight, options, data=data)
    mark.unlink()
    with pytest.raises(
        WorkerError, match=r"^loader worker 1 of 1 .* by SIGKILL, .* memory ran out"
    ):
        train(killed, options, data=data)
    train(killed, options, data=data)
    assert same(final_state(straight), final_state(killed))
    assert journal_of(straight) == journal_of(killed)


ENDLESS = """
import time
import torch
from torch.utils.data import TensorDataset
from runner.config.options import LoaderOptions
from runner.data.loader import train_loader

if __name__ == "__main__":
    options = LoaderOptions(batch_size=2, num_workers=2)
    loader = train_loader(
        TensorDataset(torch.arange(8)), options, seed=0, collate=None, pin_memory=False
    )
    loader.epoch(0).take(1)
    print(*(worker.pid for worker in loader._loader._iterator._workers), flush=True)
    time.sleep(60)
"""


def test_workers_end_with_a_training_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "endless.py")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert len(workers) == 2 and all(map(psutil.pid_exists, workers))
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 20
    while any(map(psutil.pid_exists, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(psutil.pid_exists, workers))

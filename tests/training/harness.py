"""Tiny trainings for the tests of the loop: everything real but small."""

import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from runner.build.assemble import assemble
from runner.config.options import LoaderOptions, Options, TrainerOptions
from runner.data.data import Data
from runner.job.fit import Job, fit
from runner.run.directory import RunDirectory
from runner.run.journal import Row, read_journal
from runner.run.session import JobDescription
from runner.runtime.device import prepare_hardware
from runner.runtime.seeds import seed_everything
from runner.tasks.classification import Classification
from runner.training.callback import Callback, Fit
from runner.training.parts import Parts
from runner.training.result import Result

CPU = torch.device("cpu")


class Noisy:
    """24 samples with random noise, so that a wrong order or seed shows."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(index)
        sample = torch.randn(8, generator=generator) + 0.1 * torch.randn(8)
        return sample, torch.tensor(index % 3)


def fixed_split(count: int = 9) -> TensorDataset:
    generator = torch.Generator().manual_seed(99)
    return TensorDataset(torch.randn(count, 8, generator=generator), torch.arange(count) % 3)


def tiny_data(**changes: Any) -> Data:
    data = Data(train=Noisy(), evaluation=fixed_split(), test=fixed_split(6))
    return replace(data, **changes)


def tiny_options(seed: int = 0, batch_size: int = 4, **trainer: Any) -> Options:
    knobs = {"max_epochs": 3, "log_every_steps": 4, **trainer}
    return Options(
        seed=seed,
        trainer=TrainerOptions(**knobs),
        loader=LoaderOptions(batch_size=batch_size),
    )


def tiny_parts(options: Options, *, data: Data | None = None, **changes: Any) -> Parts:
    prepare_hardware(options.hardware)
    seed_everything(options.seed)
    pieces: dict[str, Any] = {
        "model": nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 3)),
        "task": Classification(num_classes=3),
        "data": data or tiny_data(),
        "optimizer": partial(torch.optim.AdamW, lr=1e-2),
        "scheduler": partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1e-2),
        "callbacks": {},
        "device": CPU,
    }
    return assemble(options=options, **{**pieces, **changes})


def train(path: Path, options: Options, **changes: Any) -> Result:
    """Train in `path`, or continue what is there."""
    return fit(
        Job(
            directory=RunDirectory(path),
            description=JobDescription(name="tiny", config={}, overrides=[], command=[]),
            build=lambda ranks: tiny_parts(options, ranks=ranks, **changes),
            trackers={},
            continue_completed=True,
        )
    )


class StopAt(Callback):
    """Sends this process a signal at a step, or in the middle of an evaluation after it."""

    def __init__(self, step: int, *, in_evaluation: bool = False) -> None:
        self._step = step
        self._in_evaluation = in_evaluation

    def on_step_end(self, fit: Fit) -> None:
        if fit.progress.step == self._step and not self._in_evaluation:
            signal.raise_signal(signal.SIGTERM)

    def on_evaluation_batch(self, fit: Fit, split: str, batch: Any, predictions: Any) -> None:
        if fit.progress.step == self._step and self._in_evaluation:
            signal.raise_signal(signal.SIGTERM)


def final_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    """Return weights, training state and the rest of the newest checkpoint in the run `path`.

    The rest is, by file: averaged weights; each rank's generators, averages and place in the data.
    """
    from safetensors.torch import load_file

    newest = max((path / "checkpoints").iterdir())
    training = torch.load(newest / "training.pt", weights_only=True)
    training["progress"].pop("seconds")
    rest: dict[str, Any] = {
        file.name: torch.load(file, weights_only=True) for file in newest.glob("rank_*.pt")
    }
    assert rest, "each rank has a state of its own"
    rest |= {file.name: load_file(file) for file in newest.glob("average*.safetensors")}
    return load_file(newest / "model.safetensors"), training, rest


def journal_of(path: Path) -> list[tuple[int, float, str, Mapping[str, float]]]:
    """Return what must be the same in two runs: all rows but times and speeds, by step."""
    rows: list[Row] = read_journal(path / "metrics.jsonl")
    return [(r.step, r.epoch, r.split, r.values) for r in rows if r.split != "speed"]


def same(first: Any, second: Any) -> bool:
    """Return whether two nested containers hold the same values, tensors bit by bit."""
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    if isinstance(first, Mapping):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)

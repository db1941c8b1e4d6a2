"""What the tests of several ranks run on each of them."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

from runner.data.data import Data
from runner.errors import Interrupted
from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row
from runner.runtime.ranks import Ranks
from runner.runtime.seeds import mix, seed_everything
from runner.runtime.signals import StopRequests
from runner.training.callbacks.calibration import ConfidenceCalibration
from runner.training.gradients import GradientSum
from runner.training.loop import TrainingLoop
from tests.training.harness import Noisy, StopAt, tiny_options, tiny_parts

NUM_SAMPLES = 23  # neither batches nor ranks divide it


class NoJournal:
    """Takes nothing: rank 0 writes."""

    has_rows = False

    def append(self, row: Row) -> bool:
        return False

    def sync(self) -> None: ...


class Short(Noisy):
    def __len__(self) -> int:
        return NUM_SAMPLES


def data(kind: str) -> Data:
    generator = torch.Generator().manual_seed(7)
    # A last batch of one: it is rank 0's, and the others have a stand-in.
    held_out = TensorDataset(torch.randn(9, 8, generator=generator), torch.arange(9) % 3)
    # Batch norm takes no batch of one, which the last batch of the short ones leaves a rank.
    return Data(train=Noisy() if kind == "norm" else Short(), evaluation=held_out, test=held_out)


def model(kind: str) -> nn.Module:
    middle = {"dropout": nn.Dropout(0.3), "norm": nn.BatchNorm1d(16), "plain": nn.Identity()}[kind]
    return nn.Sequential(nn.Linear(8, 16), middle, nn.ReLU(), nn.Linear(16, 3))


def train(
    ranks: Ranks, _: Path, *, path: Path, kind: str = "plain", stop: int = 0, **changes: Any
) -> dict[str, Any]:
    """Train in `path`; with `stop` the last rank alone is asked to stop at that step."""
    options = tiny_options(log_every_steps=2, max_grad_norm=1.0, **changes)
    seed_everything(options.seed)
    last = ranks.rank == ranks.count - 1
    callbacks: dict[str, Any] = {"calibration": ConfidenceCalibration()}
    if stop and last:
        callbacks["stop"] = StopAt(stop)
    directory = RunDirectory(path)
    parts = tiny_parts(
        options, data=data(kind), model=model(kind), callbacks=callbacks, ranks=ranks
    )
    if ranks.rank:
        seed_everything(mix(options.seed, ranks.rank) >> 1)
    journal: Any = Journal(directory.journal) if ranks.is_main else NoJournal()
    outcome: dict[str, Any] = {}
    with StopRequests() as requests:
        loop = TrainingLoop(parts, directory=directory, journal=journal, stop=requests)
        loop.restore()
        with suppress(Interrupted):
            result = loop.run()
            outcome = asdict(result)
    if ranks.is_main:
        journal.close()
    return outcome


def sum_gradients(ranks: Ranks, _: Path) -> dict[str, Any]:
    """Sum known gradients in small buckets; one parameter is used by rank 1 alone, one by none."""
    from runner.training import gradients

    gradients.BUCKET_BYTES = 40
    torch.manual_seed(0)
    layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)])
    layers[0].weight.data = layers[0].weight.data.t().clone().t()  # another order in memory
    summed = GradientSum(layers.parameters(), ranks)
    used = [0, 1] if ranks.rank == 0 else [0, 1, 2]
    for _ in range(2):
        layers.zero_grad(set_to_none=True)
        inputs = torch.full((1, 3), float(ranks.rank + 1))
        for micro in range(2):
            if micro == 1:
                summed.begin()
            sum(layers[i](inputs).sum() for i in used).backward()  # type: ignore[union-attr]
        divisor = summed.finish(5 + ranks.rank)
    expected = 2.0 * sum(range(1, ranks.count + 1))
    assert divisor == sum(5 + rank for rank in range(ranks.count))
    for i in (0, 1):
        assert torch.equal(layers[i].weight.grad, torch.full((3, 3), expected))  # type: ignore
    only = 2.0 * sum(range(2, ranks.count + 1))
    assert torch.equal(layers[2].weight.grad, torch.full((3, 3), only))  # type: ignore[arg-type]
    assert layers[3].weight.grad is None
    return {}

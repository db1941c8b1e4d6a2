"""Trainings whose tasks do their own updates: two optimizers in turns, and whole epochs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from runner.config.options import Options
from runner.data.data import Batch
from runner.runtime.ranks import Ranks
from runner.tasks.classification import Classification
from runner.tasks.task import StepOutput, Update
from tests.training.harness import tiny_options

NAMES = ("first", "second")


class Turns(Classification):
    """`second` learns to classify what `first` makes of the input; `first` helps it, or not."""

    def alternating_step(
        self, model: nn.ModuleDict, batch: Batch, update: Mapping[str, Update]
    ) -> StepOutput:
        target = batch["target"]
        for _ in range(2):
            hidden = model["first"](batch["input"]).detach()
            update["second"](functional.cross_entropy(model["second"](hidden), target))
        hidden = model["first"](batch["input"])
        loss = functional.cross_entropy(model["second"](hidden), target)
        update["first"](loss)
        return StepOutput(loss, len(target), {"size": hidden.detach().square().mean()})

    def evaluation_step(self, model: Any, batch: Batch, metrics: Any) -> Any:
        return super().evaluation_step(_joined(model), batch, metrics)


class Epochs(Classification):
    """Trains its own epoch, of one optimizer or of two at once; reads `most` batches of it."""

    def __init__(self, most: int | None = None) -> None:
        super().__init__(num_classes=3)
        self._most = most

    def training_epoch(
        self, model: nn.Module, batches: Iterator[Batch], update: Mapping[str, Update]
    ) -> Mapping[str, Tensor]:
        losses = []
        for number, batch in enumerate(batches, start=1):
            for one in update.values():
                loss = functional.cross_entropy(_joined(model)(batch["input"]), batch["target"])
                mean = one(loss)
            losses.append(mean)
            if number == self._most:
                break
        return {"loss": torch.stack(losses).mean(), "batches": torch.tensor(float(len(losses)))}

    def evaluation_step(self, model: Any, batch: Batch, metrics: Any) -> Any:
        return super().evaluation_step(_joined(model), batch, metrics)


def _joined(model: nn.Module) -> nn.Module:
    return nn.Sequential(*model.values()) if isinstance(model, nn.ModuleDict) else model


def two_parts(noise: nn.Module | None = None) -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "first": nn.Sequential(nn.Linear(8, 16), noise or nn.Dropout(0.3), nn.ReLU()),
            "second": nn.Linear(16, 3),
        }
    )


def two_optimizers() -> dict[str, Any]:
    return {
        "first": partial(torch.optim.AdamW, lr=1e-2),
        "second": partial(torch.optim.SGD, lr=1e-1, momentum=0.9),
    }


def turns(**changes: Any) -> dict[str, Any]:
    """Return the parts of a training in which two optimizers take turns."""
    pieces = {"model": two_parts(), "optimizer": two_optimizers(), "task": Turns(num_classes=3)}
    schedulers = {"first": partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1e-2)}
    return {**pieces, "scheduler": schedulers, **changes}


def options(autocast: str | None = None, **trainer: Any) -> Options:
    plain = tiny_options(**{"max_grad_norm": 1.0, "ema_decay": 0.9, **trainer})
    return replace(plain, precision=replace(plain.precision, autocast=autocast))


def train_both(ranks: Ranks, path: Path) -> dict[str, Any]:
    """Train in turns and in own epochs as one of `ranks`, without random numbers in the model."""
    from tests.training.exactness import train_as_rank
    from tests.training.rank_trainings import data

    for kind, task in (("turns", Turns(num_classes=3)), ("epochs", Epochs())):
        pieces = turns(model=two_parts(nn.Identity()), task=task)
        folder = path / f"{kind}_{ranks.count}"
        train_as_rank(ranks, folder, options(log_every_steps=1), data=data("plain"), **pieces)
    return {}

"""What is refused before a training begins, since it would be done to no effect."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from runner import Callback, Supervised, Trainer
from runner.errors import RunnerError

INPUTS, TARGETS = torch.randn(12, 3), torch.tensor([0, 1] * 6)
SPLIT = TensorDataset(INPUTS, TARGETS)


class Misspelt(Callback):
    def on_train_start(self, fit: Any) -> None:
        raise AssertionError("never called")


def fit(path: Path, *, options: dict[str, Any] | None = None, **changes: Any) -> None:
    pieces: dict[str, Any] = {
        "model": nn.Linear(3, 2),
        "loss": "cross_entropy",
        "metrics": ["accuracy"],
        "data": {"train": SPLIT, "evaluation": SPLIT},
        "callbacks": {},
        "trackers": {},
        "options": {"trainer.max_steps": 1, **(options or {})},
        "output_dir": path,
    }
    Trainer(**{**pieces, **changes}).fit()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"options": {"trainer.best_metric": "evaluation.accuracy"}}, "trainer.best_mode=max too"),
        (
            {"options": {"trainer.best_metric": "evaluation.accuracy"}, "data": {"train": SPLIT}},
            "needs an evaluation split",
        ),
        (
            {"optimizer": torch.optim.SGD(nn.Linear(3, 2).parameters(), lr=0.1)},
            "none of the model's parameters",
        ),
        ({"callbacks": {"mine": Misspelt()}}, "callbacks.mine.on_train_start: there is no event"),
    ],
)
def test_what_would_have_no_effect_is_refused(
    tmp_path: Path, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(RunnerError, match=words):
        fit(tmp_path, **wrong)


class ReturnsLoss(Supervised):
    def training_step(self, model: nn.Module, batch: Any) -> Any:
        return super().training_step(model, batch).loss


def test_a_step_that_returns_a_loss_alone_is_told_what_is_wanted(tmp_path: Path) -> None:
    task = ReturnsLoss("cross_entropy")
    with pytest.raises(RunnerError, match=r"training_step returned a Tensor.*StepOutput"):
        fit(tmp_path, task=task, loss=None, metrics=None)


def test_a_score_that_is_better_when_larger_may_be_the_best(tmp_path: Path) -> None:
    fit(
        tmp_path,
        options={"trainer.best_metric": "evaluation.accuracy", "trainer.best_mode": "max"},
    )

"""Training on torch's `meta` device, whose tensors have no values: whatever would wait for the
device to read one raises instead."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from runner.config.options import CheckpointOptions, Options
from runner.training.callback import Callback, Fit
from runner.training.callbacks.defaults import default_callbacks
from tests.training.harness import tiny_data, tiny_options, train

META = torch.device("meta")


def meta_options(**trainer: Any) -> Options:
    knobs = {"max_steps": 12, "max_grad_norm": 1.0, "test_at_end": False, **trainer}
    return replace(tiny_options(**knobs), checkpoint=CheckpointOptions(enabled=False))


def train_on_meta(path: Path, **trainer: Any) -> list[int]:
    steps: list[int] = []

    class Watch(Callback):
        def on_step_end(self, fit: Fit) -> None:
            steps.append(fit.progress.step)

    # The end of training waits at last, to see whether the loss is a number.
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        train(
            path,
            meta_options(**trainer),
            data=tiny_data(evaluation=None, test=None),
            device=META,
            callbacks={**default_callbacks(), "watch": Watch()},
        )
    return steps


@pytest.mark.parametrize(("accumulation", "num_steps"), [(1, 12), (2, 9)])
def test_nothing_waits_for_the_device_between_two_logged_steps(
    tmp_path: Path, accumulation: int, num_steps: int
) -> None:
    steps = train_on_meta(tmp_path, log_every_steps=0, gradient_accumulation_steps=accumulation)
    assert steps == list(range(1, num_steps + 1))


def test_the_norm_of_the_gradients_is_logged_without_waiting(tmp_path: Path) -> None:
    steps = train_on_meta(tmp_path, log_every_steps=0, max_grad_norm=None, log_grad_norm=True)
    assert steps == list(range(1, 13))


def test_a_logged_step_waits(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    assert train_on_meta(tmp_path, log_every_steps=5) == [1, 2, 3, 4]

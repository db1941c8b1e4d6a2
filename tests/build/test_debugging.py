from dataclasses import replace
from pathlib import Path

import pytest

from runner.config.options import DebugOptions
from runner.run.journal import read_journal
from tests.training.harness import tiny_options, train


def steps_of(path: Path, split: str) -> list[int]:
    return [row.step for row in read_journal(path / "metrics.jsonl") if row.split == split]


def test_fast_dev_run_goes_through_every_stage_once(tmp_path: Path) -> None:
    options = replace(tiny_options(max_steps=1000), debug=DebugOptions(fast_dev_run=True))
    train(tmp_path, options)
    assert steps_of(tmp_path, "train") == [1, 2, 3]
    assert steps_of(tmp_path, "evaluation")[-1] == 3
    assert steps_of(tmp_path, "test") == [3]
    assert (tmp_path / "checkpoints" / "step_00000003").is_dir()


def test_overfitting_a_few_batches_reaches_a_low_loss(tmp_path: Path) -> None:
    options = replace(tiny_options(max_epochs=60), debug=DebugOptions(overfit_batches=1))
    result = train(tmp_path, options)
    assert result.step == 60
    assert result.score is not None
    assert result.score < 0.5  # ln 3 = 1.1 at the start


def test_limit_batches_shortens_epochs_and_evaluations(tmp_path: Path) -> None:
    options = replace(tiny_options(max_epochs=2), debug=DebugOptions(limit_batches=2))
    assert train(tmp_path, options).step == 4


def test_profile_writes_a_trace(tmp_path: Path) -> None:
    options = replace(tiny_options(max_epochs=4), debug=DebugOptions(profile=True))
    train(tmp_path, options)
    assert "traceEvents" in (tmp_path / "plots" / "profile_trace.json").read_text()


@pytest.mark.filterwarnings("ignore:Anomaly Detection", "ignore:Error detected")
def test_anomaly_detection_names_the_operation(tmp_path: Path) -> None:
    import torch
    from torch import nn

    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return (self.linear(inputs) * 0.0).sqrt()

    options = replace(tiny_options(), debug=DebugOptions(detect_anomaly=True))
    try:
        with pytest.raises(RuntimeError, match="Backward0' returned nan"):
            train(tmp_path, options, model=Broken())
    finally:
        torch.autograd.set_detect_anomaly(False)

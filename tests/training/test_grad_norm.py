"""trainer.log_grad_norm: measured without clipping, and without changing a bit."""

from pathlib import Path

import pytest
import torch

from runner.run.journal import read_journal
from tests.training.harness import final_state, same, tiny_options, train


def norms(path: Path) -> list[float]:
    rows = read_journal(path / "metrics.jsonl")
    return [row.values["grad_norm"] for row in rows if "grad_norm" in row.values]


def test_it_is_what_clipping_would_have_told_and_changes_no_bit(tmp_path: Path) -> None:
    for name, trainer in {
        "off": {},
        "on": {"log_grad_norm": True},
        "clipped": {"max_grad_norm": 1e9},
    }.items():
        train(tmp_path / name, tiny_options(**trainer))
    assert norms(tmp_path / "off") == []
    assert norms(tmp_path / "on") == pytest.approx(norms(tmp_path / "clipped"))
    assert len(norms(tmp_path / "on")) > 3
    assert same(final_state(tmp_path / "on")[0], final_state(tmp_path / "off")[0])


def test_gradients_whose_norm_is_beyond_all_numbers_are_left_alone() -> None:
    from runner.runtime.sharding import gradient_norm

    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.full((2,), 1e30)
    assert gradient_norm([parameter]).isinf()
    assert parameter.grad.tolist() == torch.full((2,), 1e30).tolist()

"""Two ranks with several optimizers train as one process does, in turns and in own epochs."""

from pathlib import Path

import pytest
import torch

from runner.runtime.ranks import ALONE
from tests.ranks import results_of
from tests.training.alternations import train_both
from tests.training.harness import final_state, journal_of


def test_two_ranks_train_as_one_process_does(tmp_path: Path) -> None:
    """The last batch has three samples, which ranks do not share evenly."""
    train_both(ALONE, tmp_path)
    results_of(train_both, count=2, folder=tmp_path)
    for kind in ("turns", "epochs"):
        one, two = tmp_path / f"{kind}_1", tmp_path / f"{kind}_2"
        for (*_, first), (*_, second) in zip(journal_of(one), journal_of(two), strict=True):
            for key in first:
                assert first[key] == pytest.approx(second[key], rel=1e-4), (kind, key)
        for name, tensor in final_state(one)[0].items():
            assert torch.allclose(tensor, final_state(two)[0][name], atol=1e-5), (kind, name)

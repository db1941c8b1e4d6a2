"""Blocks computed again in backward while the parameters are shared among two processes."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from runner.runtime.ranks import Ranks
from tests.ranks import results_of
from tests.runtime.test_recompute import Residual
from tests.training import rank_trainings
from tests.training.harness import journal_of
from tests.training.test_sharded_training import sharded_parts


def residual(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return Residual() if kind == "norm" else flat("plain")


flat = rank_trainings.model


def work(ranks: Ranks, folder: Path, *, path: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rank_trainings, "tiny_parts", sharded_parts)
        patch.setattr(rank_trainings, "model", residual)
        for kind in ("norm", "plain"):
            for wanted in (False, True):
                how = {"ema_decay": 0.9, "max_epochs": 1, "gradient_checkpointing": wanted}
                where = path / f"{kind}_{wanted}"
                rank_trainings.train(ranks, folder, path=where, kind=kind, **how)
    return {}


@pytest.mark.slow
def test_sharded_parameters_and_blocks_computed_again_give_the_same(tmp_path: Path) -> None:
    results_of(partial(work, path=tmp_path), count=2, folder=tmp_path)
    for kind in ("norm", "plain"):
        plain, again = (journal_of(tmp_path / f"{kind}_{wanted}") for wanted in (False, True))
        assert plain == again
        assert plain

"""Losses that are no number, met by a real training."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runner.config.options import CheckpointOptions, Options
from runner.errors import ConfigError, Interrupted
from runner.run.journal import read_journal
from runner.training.finite import SkipNonfinite
from runner.training.health import NonfiniteError
from tests.training.harness import (
    StopAt,
    final_state,
    journal_of,
    same,
    tiny_data,
    tiny_options,
    train,
)


class Poisoned:
    """24 samples; those in `bad` make a loss that is no number, in the epochs given."""

    def __init__(self, bad: int, value: float = float("nan")) -> None:
        self.bad, self.value = bad, value

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(index)
        sample = torch.randn(8, generator=generator)
        return sample * (self.value if index == self.bad else 1.0), torch.tensor(index % 3)


def options(policy: str, **trainer: Any) -> Options:
    knobs = {"on_nonfinite": policy, "log_every_steps": 3, "evaluate_every": None, **trainer}
    every = CheckpointOptions(every="2 steps", keep_last=1)
    return replace(tiny_options(**knobs), checkpoint=every)


def weights_are_finite(path: Path) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in final_state(path)[0].values())


@pytest.mark.parametrize(
    ("every", "told"),
    [("2 steps", "the newest checkpoint counts"), (None, "no checkpoint is there")],
)
def test_what_is_not_saved_is_told_with_what_there_is_instead(
    every: str | None, told: str, tmp_path: Path
) -> None:
    class Late(Poisoned):
        count = 0

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            self.count += 1
            inputs, target = super().__getitem__(index)
            return inputs / (self.count < 16), target

    chosen = replace(options("stop"), checkpoint=CheckpointOptions(every=every, keep_last=1))
    with pytest.raises(NonfiniteError):
        train(tmp_path, chosen, data=tiny_data(train=Late(-1)))
    log = (tmp_path / "logs" / "rank_0.log").read_text()
    assert re.search(rf"not saved step=\d: {told}", log)


def test_stop_says_where_and_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(NonfiniteError, match=r"between step \d and step [1-6].*on_nonfinite=skip"):
        train(tmp_path, options("stop"), data=tiny_data(train=Poisoned(5)))
    saved = (
        list((tmp_path / "checkpoints").iterdir()) if (tmp_path / "checkpoints").exists() else []
    )
    assert not saved or weights_are_finite(tmp_path)
    losses = [row.values.get("loss", 0.0) for row in read_journal(tmp_path / "metrics.jsonl")]
    assert all(loss == loss for loss in losses)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_skip_leaves_the_step_out_and_counts_it(tmp_path: Path, value: float) -> None:
    result = train(tmp_path, options("skip"), data=tiny_data(train=Poisoned(5, value)))
    assert result.step == 18 and weights_are_finite(tmp_path)
    rows = [r for r in read_journal(tmp_path / "metrics.jsonl") if r.split == "train"]
    shares = [row.values["skipped_share"] for row in rows]
    assert sum(shares) * 3 == pytest.approx(3), "one step in each of three epochs"
    assert all(row.values["loss"] == row.values["loss"] for row in rows)


def test_a_skipped_step_changes_no_weight(tmp_path: Path) -> None:
    """All samples are bad: the weights stay those of the beginning."""

    class AllBad(Poisoned):
        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            return torch.full((8,), float("nan")), torch.tensor(index % 3)

    torch.manual_seed(0)
    model = nn.Linear(8, 3)
    before = model.weight.detach().clone()
    data = tiny_data(train=AllBad(0))
    chosen = options("skip", log_every_steps=9)
    train(tmp_path, chosen, data=data, model=model, scheduler=None)
    assert torch.equal(model.weight, before)
    log = (tmp_path / "logs" / "rank_0.log").read_text()
    assert log.count("100% of the steps between") == 2, "it is told"
    with pytest.raises(NonfiniteError, match="no step had a finite gradient any more"):
        train(tmp_path / "sooner", options("skip"), data=data, model=model, scheduler=None)


def test_skip_on_a_gpu_needs_a_fused_optimizer() -> None:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))])
    with pytest.raises(ConfigError, match="optimizer.fused=true"):
        SkipNonfinite(optimizer, torch.device("cuda"))


def test_a_fused_optimizer_skips_by_itself() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
    skip = SkipNonfinite(optimizer, torch.device("meta"))
    for bad in (1.0, 0.0):
        weight.grad = torch.full((3,), 2.0)
        assert skip.allows(torch.tensor(bad))
        optimizer.step()
        assert torch.equal(weight.detach(), torch.ones(3)) == bool(bad)


def test_rollback_goes_on_with_good_weights_and_never_lowers_the_step(tmp_path: Path) -> None:
    result = train(tmp_path, options("rollback"), data=tiny_data(train=Poisoned(5)))
    assert result.step == 18 and weights_are_finite(tmp_path)
    log = (tmp_path / "logs" / "rank_0.log").read_text()
    assert log.count("going on with the weights of step") == 3


@pytest.mark.parametrize("stop", [3, 5, 7, 9, 11, 13, 15, 17])
def test_a_run_that_rolls_back_is_resumed_exactly(tmp_path: Path, stop: int) -> None:
    """An interruption saves where a straight run does not: that must not be gone back to."""
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    chosen = options("rollback")
    data = tiny_data(train=Poisoned(5))
    train(straight, chosen, data=data)
    try:
        train(resumed, chosen, data=data, callbacks={"stop": StopAt(stop)})
    except Interrupted:
        train(resumed, chosen, data=data)
    assert same(final_state(straight), final_state(resumed))
    assert journal_of(straight) == journal_of(resumed)


def test_rollback_without_an_end_is_given_up(tmp_path: Path) -> None:
    class GoesBad(Poisoned):
        """From the third step on everything is bad."""

        asked = 0

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            GoesBad.asked += 1
            sample, target = super().__getitem__(index)
            return sample * (float("nan") if GoesBad.asked > 8 else 1.0), target

    with pytest.raises(NonfiniteError, match="after 3 roll-backs in a row"):
        train(tmp_path, options("rollback"), data=tiny_data(train=GoesBad(-1)))

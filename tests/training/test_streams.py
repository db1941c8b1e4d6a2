"""Whole trainings on an iterable dataset."""

from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import DataError, Interrupted
from tests.data.streams import Samples, Stateless
from tests.training.harness import (
    StopAt,
    final_state,
    journal_of,
    same,
    tiny_data,
    tiny_options,
    train,
)


@pytest.mark.parametrize("step", [4, 6, 8], ids=["in-a-shard", "epoch-end", "next-epoch"])
@pytest.mark.parametrize("workers", [(0, 0), (2, 0), (0, 2)])
def test_a_resumed_run_on_two_shards_equals_a_straight_one(
    tmp_path: Path, workers: tuple[int, int], step: int
) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    data = tiny_data(train=Samples(15, 8))  # four and two batches
    options = tiny_options(max_epochs=2, gradient_accumulation_steps=1)
    first, second = (
        replace(options, loader=replace(options.loader, num_workers=number)) for number in workers
    )
    train(straight, options, data=data, scheduler=None)
    with pytest.raises(Interrupted):
        train(resumed, first, data=data, scheduler=None, callbacks={"stop": StopAt(step)})
    result = train(resumed, second, data=data, scheduler=None)
    assert result.step == 12
    assert same(final_state(straight), final_state(resumed))
    assert journal_of(straight) == journal_of(resumed)


def test_data_that_cannot_be_resumed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data.train .* no state_dict and load_state_dict"):
        train(tmp_path, tiny_options(), data=tiny_data(train=Stateless()))

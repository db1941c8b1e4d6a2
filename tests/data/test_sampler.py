"""A user's sampler decides the order; it is the same from any place, with workers and on ranks."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import (
    DistributedSampler,
    RandomSampler,
    Sampler,
    TensorDataset,
    WeightedRandomSampler,
)

from runner.data.sampler import SampledOrder
from runner.errors import DataError
from tests.data.test_loader import Noisy, epoch_of, loader_of, taken


class OfEpoch(Sampler[int]):
    """Begins at the epoch's number; how it goes on, random numbers decide."""

    def __init__(self) -> None:
        self.epoch = 0

    def __len__(self) -> int:
        return 8

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        yield self.epoch
        yield from (random.randrange(10) for _ in range(7))


class Counted(Sampler[int]):
    """Goes on counting from epoch to epoch, by a stride that may be changed."""

    def __init__(self) -> None:
        self.at, self.stride = 0, 1

    def __len__(self) -> int:
        return 7

    def __iter__(self) -> Iterator[int]:
        for _ in range(7):
            yield self.at % 10
            self.at += self.stride

    def state_dict(self) -> dict[str, Any]:
        return {"at": self.at, "stride": self.stride}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.at, self.stride = state["at"], state["stride"]


class Lonely(Sampler[int]):
    """Says nothing about what its order depends on."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[int]:
        return iter([1, 0])


TEN = TensorDataset(torch.arange(10))
WEIGHTED = WeightedRandomSampler([0.0, *range(1, 10)], 6)


def seen(loader: Any, epoch: int, start: int = 0, state: Any = None) -> list[int]:
    part = loader.epoch(epoch, start, state)
    return [int(number) for micro in taken(part) for number in micro.content[0]]


@pytest.mark.parametrize("make", [OfEpoch, lambda: WEIGHTED, lambda: RandomSampler(TEN)])
def test_the_order_is_a_function_of_seed_and_epoch(make: Any) -> None:
    first, second = (seen(loader_of(TEN, sampler=make()), epoch) for epoch in (0, 1))
    assert first != second
    loader = loader_of(TEN, sampler=make())
    assert seen(loader, 1) == second
    assert seen(loader, 0) == first
    assert seen(loader, 1, 1) == second[3:]
    other = SampledOrder(make(), seed=6)
    assert other.indices(1) != second


def test_weights_say_how_often_a_sample_is_seen() -> None:
    order = SampledOrder(WeightedRandomSampler([0.0, 1.0, 3.0], 4000), seed=0).indices(0)
    assert order.count(0) == 0
    assert 2800 < order.count(2) < 3200


def test_the_length_of_the_sampler_is_that_of_the_epoch() -> None:
    assert loader_of(TEN, sampler=WEIGHTED).num_batches == 2
    assert loader_of(TEN, sampler=OfEpoch(), drop_last=True).num_batches == 2
    assert len(epoch_of(loader_of(TEN, sampler=OfEpoch()), 0)) == 3


def test_a_sampler_leaves_the_generators_alone_and_is_left_alone() -> None:
    generator = torch.Generator()
    sampler = WeightedRandomSampler([1.0] * 10, 6, generator=generator)
    random.seed(1), torch.manual_seed(1)
    expected = random.random(), torch.rand(2).tolist()
    random.seed(1), torch.manual_seed(1)
    seen(loader_of(TEN, sampler=sampler), 0)
    assert (random.random(), torch.rand(2).tolist()) == expected
    assert sampler.generator is generator


@pytest.mark.parametrize("num_workers", [0, 2])
def test_ranks_and_workers_share_out_one_order(num_workers: int) -> None:
    (alone,) = _parts(1)
    parts = _parts(3, num_workers=num_workers)
    for whole, *own in zip(alone, *parts, strict=True):
        together = torch.cat([part.content for part in own if part.counts])
        assert torch.equal(together, whole.content)


def _parts(num_ranks: int, **options: Any) -> list[list[Any]]:
    return [
        taken(
            loader_of(Noisy(), sampler=OfEpoch(), rank=rank, num_ranks=num_ranks, **options).epoch(
                1
            )
        )
        for rank in range(num_ranks)
    ]


def test_a_sampler_with_a_state_goes_on_where_it_stood() -> None:
    straight = loader_of(TEN, sampler=Counted())
    assert seen(straight, 0) == [0, 1, 2, 3, 4, 5, 6]
    part = straight.epoch(1)
    part.take(1)
    middle = part.state_dict()
    rest = [int(number) for micro in taken(part) for number in micro.content[0]]
    assert rest == [0, 1, 2, 3]
    end = part.state_dict()
    resumed = loader_of(TEN, sampler=Counted())
    assert seen(resumed, 1, 1, middle) == rest
    expected = seen(straight, 2)
    assert seen(resumed, 2) == expected
    assert seen(loader_of(TEN, sampler=Counted()), 2, 0, end) == expected


def test_what_changes_in_a_sampler_within_an_epoch_is_kept() -> None:
    sampler = Counted()
    straight = loader_of(TEN, sampler=sampler)
    part = straight.epoch(0)
    part.take(1)
    sampler.stride = 3
    middle = part.state_dict()
    expected = seen(straight, 1)
    assert expected[:3] == [7, 0, 3]
    resumed = loader_of(TEN, sampler=Counted())
    assert seen(resumed, 0, 1, middle) == [3, 4, 5, 6]
    assert seen(resumed, 1) == expected


class Shrinking(OfEpoch):
    def __iter__(self) -> Iterator[int]:
        return iter(range(8 - self.epoch))


class Endless(Sampler[int]):
    def set_epoch(self, epoch: int) -> None: ...

    def __iter__(self) -> Iterator[int]:
        return iter(())


class Empty(Endless):
    def __len__(self) -> int:
        return 0


class Unsavable(Counted):
    def state_dict(self) -> dict[str, Any]:
        return {"generator": random.Random(1)}


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (Lonely(), r"Lonely does not say .* set_epoch\(epoch\).* state_dict\(\) and load_state"),
        (DistributedSampler(TEN, num_replicas=2, rank=0), "which runner does itself"),
        (Endless(), "Endless has no length"),
        (Empty(), "Empty gives no samples"),
        (Unsavable(), "what a checkpoint cannot give back"),
    ],
)
def test_a_sampler_that_cannot_be_resumed_is_refused(sampler: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        SampledOrder(sampler, seed=0)


def test_a_length_that_is_not_kept_is_told() -> None:
    order = SampledOrder(Shrinking(), seed=0)
    assert len(order.indices(0)) == 8
    with pytest.raises(DataError, match="gave 7 indices in epoch 1 and not 8"):
        order.indices(1)

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from runner.config.options import LoaderOptions
from runner.data.epoch import Epoch, MicroBatch
from runner.data.loader import Loader, evaluation_loader, train_loader
from runner.errors import ConfigError


class Noisy:
    """Samples that draw from all three generators."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(()).item()])


def loader_of(
    dataset: Any,
    *,
    rank: int = 0,
    num_ranks: int = 1,
    collate: Any = None,
    sampler: Any = None,
    **options: Any,
) -> Loader:
    return train_loader(
        dataset,
        LoaderOptions(**{"batch_size": 3, **options}),
        seed=5,
        collate=collate,
        sampler=sampler,
        pin_memory=False,
        rank=rank,
        num_ranks=num_ranks,
    )


def taken(epoch: Epoch, count: int = 1) -> list[MicroBatch]:
    """Take what is left, `count` at a time."""
    micro_batches = []
    while not epoch.is_over:
        micro_batches += epoch.take(count)
    return micro_batches


def epoch_of(loader: Loader, epoch: int, start: int = 0) -> list[torch.Tensor]:
    return [micro_batch.content for micro_batch in taken(loader.epoch(epoch, start))]


def test_samples_are_the_same_with_workers_and_from_any_position() -> None:
    alone = [epoch_of(loader_of(Noisy()), epoch) for epoch in range(2)]
    with_workers = loader_of(Noisy(), num_workers=2)
    for epoch in range(2):
        for a, b in zip(alone[epoch], epoch_of(with_workers, epoch), strict=True):
            assert torch.equal(a, b)
    rest = epoch_of(loader_of(Noisy()), 1, start=2)
    assert len(rest) == 2
    assert torch.equal(rest[0], alone[1][2])


def test_the_same_sample_differs_from_epoch_to_epoch() -> None:
    loader = loader_of(Noisy(), shuffle=False)
    first, second = epoch_of(loader, 0)[0], epoch_of(loader, 1)[0]
    assert torch.equal(first[:, 0], second[:, 0])
    assert not torch.equal(first[:, 1:], second[:, 1:])


def test_loading_draws_nothing_from_the_generators_of_training() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    epoch_of(loader_of(Noisy()), 0)
    assert torch.equal(torch.rand(3), expected)


def test_evaluation_sees_every_sample_in_order() -> None:
    dataset = TensorDataset(torch.arange(10))
    loader = evaluation_loader(
        dataset,
        LoaderOptions(batch_size=3, evaluation_batch_size=4),
        seed=5,
        collate=None,
        pin_memory=False,
    )
    batches = [batch.tolist() for (batch,) in epoch_of(loader, 0)]
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_batch_of_tensors_is_what_collating_its_rows_gives(num_workers: int) -> None:
    class Rows(TensorDataset):
        """The same tensors, asked row by row."""

    tensors = torch.randn(10, 2, 3), torch.arange(10), torch.randn(10).double()
    at_once = epoch_of(loader_of(TensorDataset(*tensors), num_workers=num_workers), 0)
    by_rows = epoch_of(loader_of(Rows(*tensors)), 0)
    for one, other in zip(at_once, by_rows, strict=True):
        assert type(one) is type(other)
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a, b)
            assert a.dtype == b.dtype


class Counting:
    """Samples that are their index; remembers which were asked for."""

    deterministic = True

    def __init__(self, length: int = 10) -> None:
        self.length = length
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        self.asked.append(index)
        return index


def test_an_epoch_gives_the_batches_of_a_step_and_knows_its_end() -> None:
    epoch = loader_of(TensorDataset(torch.arange(10))).epoch(0)
    assert [batch.size for batch in epoch.take(3)] == [3, 3, 3]
    assert not epoch.is_over
    (last,) = epoch.take(3)
    assert (last.size, last.part, last.num_samples) == (1, slice(0, 1), 1)
    assert epoch.is_over


def test_nothing_is_made_before_the_place_where_an_epoch_starts() -> None:
    dataset = Counting()
    loader = loader_of(dataset, shuffle=False)
    loader.epoch(0, start=2).take(1)
    assert dataset.asked == [6, 7, 8]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_parts_of_the_ranks_make_the_batch_of_one_process(num_workers: int) -> None:
    (alone,) = ranks_of(Noisy(), 1)
    parts = ranks_of(Noisy(), 3, num_workers=num_workers)
    assert len(alone) == 4
    for whole, *own in zip(alone, *parts, strict=True):
        assert all(part.size == whole.size for part in own)
        together = torch.cat([part.content for part in own if part.counts])
        assert torch.equal(together, whole.content)


def test_a_rank_makes_its_own_samples_only() -> None:
    dataset = Counting()
    loader = loader_of(dataset, shuffle=False, rank=1, num_ranks=3)
    batches = taken(loader.epoch(0))
    assert dataset.asked == [1, 4, 7, 9]
    assert [batch.counts for batch in batches] == [True, True, True, False]


def test_ranks_that_do_not_divide_a_batch_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.batch_size=3 .* 2 ranks .* try 2 or 4"):
        loader_of(Noisy(), num_ranks=2)


class Slow:
    """Items that cost a millisecond each and leave their index in a file."""

    deterministic = True

    def __init__(self, told: Path) -> None:
        self.told = told

    def __len__(self) -> int:
        return 40_000

    def __getitem__(self, index: int) -> int:
        with self.told.open("a") as file:
            file.write(f"{index}\n")
        time.sleep(1e-3)
        return index

    def read(self) -> list[int]:
        return [int(line) for line in self.told.read_text().splitlines()]


def test_a_deep_start_reads_one_batch_and_costs_what_an_early_one_costs(tmp_path: Path) -> None:
    loader = loader_of(Slow(tmp_path / "read"), batch_size=4)
    seconds: dict[int, list[float]] = {5: [], 5_000: []}
    for _ in range(8):
        for start, measured in seconds.items():
            before = time.perf_counter()
            loader.epoch(0, start).take(1)
            measured.append(time.perf_counter() - before)
    assert len(Slow(tmp_path / "read").read()) == 16 * 4
    assert min(seconds[5_000]) <= 1.2 * min(seconds[5])


def test_with_workers_a_deep_start_reads_one_batch_and_the_prefetch(tmp_path: Path) -> None:
    dataset = Slow(tmp_path / "read")
    options: dict[str, Any] = {"batch_size": 4, "shuffle": False, "num_workers": 2}
    epoch = loader_of(dataset, **options).epoch(0, 5_000)
    epoch.take(1)
    expected = set(range(20_000, 20_000 + (1 + 2 * 2) * 4))  # two batches ahead for each worker
    deadline = time.monotonic() + 30
    while set(dataset.read()) != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)  # nobody reads on
    assert sorted(dataset.read()) == sorted(expected)


def ranks_of(dataset: Any, num_ranks: int, **options: Any) -> list[list[MicroBatch]]:
    return [
        taken(loader_of(dataset, rank=rank, num_ranks=num_ranks, **options).epoch(1))
        for rank in range(num_ranks)
    ]

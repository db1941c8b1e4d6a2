import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from runner.config.options import LoaderOptions
from runner.data.loader import Loader, evaluation_loader, train_loader


class Noisy:
    """Samples that draw from all three generators."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(()).item()])


def loader_of(dataset: Any, **options: Any) -> Loader:
    return train_loader(
        dataset, LoaderOptions(batch_size=3, **options), seed=5, collate=None, pin_memory=False
    )


def epoch_of(loader: Loader, epoch: int, start: int = 0) -> list[torch.Tensor]:
    return list(loader.batches(epoch=epoch, start=start))


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
    batches = [batch.tolist() for (batch,) in loader.batches()]
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

from typing import Any

import pytest
import torch
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from runner.data.collate import InOrder, collate_of
from runner.data.data import Data
from runner.errors import DataError
from tests.data.test_loader import epoch_of, loader_of

PLAIN = TensorDataset(torch.arange(4))


class WithOwn(TensorDataset):
    def collate_fn(self, samples: list[Any]) -> str:
        return f"own {len(samples)}"


def joined(samples: list[Any]) -> list[int]:
    return [int(sample[0]) for sample in samples]


def doubled(numbers: list[int]) -> list[int]:
    return [2 * number for number in numbers]


def collated(data: Data, name: str, samples: Any) -> Any:
    collate = collate_of(data, name)
    assert collate is not None
    return collate(samples)


def test_functions_follow_one_another() -> None:
    data = Data(train=PLAIN, collate=[joined, doubled])
    assert collated(data, "train", [PLAIN[1], PLAIN[3]]) == [2, 6]


def test_a_dataset_brings_its_own_unless_data_say_otherwise() -> None:
    own: Any = WithOwn(torch.arange(4))
    wrapped: Any = ConcatDataset([Subset(own, [0, 1]), own])
    data = Data(train=PLAIN, evaluation={"own": own, "wrapped": wrapped})
    assert collate_of(data, "train") is None
    assert collated(data, "evaluation.own", [1]) == "own 1"
    assert collated(data, "evaluation.wrapped", [1, 2]) == "own 2"
    assert collate_of(Data(train=own, collate=joined), "train") is joined


def test_collate_may_differ_by_split_and_by_dataset() -> None:
    several = {"a": PLAIN, "b": PLAIN}
    data = Data(
        train=PLAIN, evaluation=several, collate={"evaluation": joined, "evaluation.b": len}
    )
    assert collate_of(data, "train") is None
    assert collate_of(data, "evaluation.a") is joined
    assert collate_of(data, "evaluation.b") is len


def test_a_split_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match=r"'evaluate', which is no split .* did you mean"):
        Data(train=PLAIN, collate={"evaluate": joined})


def test_a_loader_collates_in_order() -> None:
    loader = loader_of(PLAIN, shuffle=False, collate=InOrder([joined, doubled]))
    assert epoch_of(loader, 0) == [[0, 2, 4], [6]]

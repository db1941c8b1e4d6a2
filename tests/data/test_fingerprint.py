import torch
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from runner.data.data import Data, is_deterministic
from runner.data.fingerprint import fingerprint


class Texts:
    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> str:
        return self.texts[index]


def tensors(offset: int = 0) -> TensorDataset:
    return TensorDataset(torch.arange(6).float() + offset)


def test_the_same_data_has_the_same_fingerprint() -> None:
    assert fingerprint(Data(train=tensors())) == fingerprint(Data(train=tensors()))


def test_other_data_has_another_one() -> None:
    seen = [
        fingerprint(Data(train=dataset))["train"]
        for dataset in (
            tensors(),
            tensors(1),
            Texts("a", "b"),
            Texts("a", "c"),
            Subset(tensors(), [0, 1, 2]),
            Subset(tensors(), [0, 1, 3]),
            Subset(tensors(1), [0, 1, 2]),
            ConcatDataset([tensors(), tensors(1)]),
            ConcatDataset([tensors(1), tensors()]),
        )
    ]
    assert len(set(seen)) == len(seen)


def test_parts_of_deterministic_data_are_deterministic() -> None:
    noisy, fixed = Texts("a"), tensors()
    assert is_deterministic(Subset(fixed, [1]))
    assert is_deterministic(ConcatDataset([fixed, fixed]))
    assert not is_deterministic(ConcatDataset([fixed, noisy]))  # type: ignore[list-item]

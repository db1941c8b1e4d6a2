"""Datasets in turn: which one an epoch sees is a function of its number."""

from itertools import chain
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from runner.config.options import LoaderOptions
from runner.data.curriculum import Curriculum
from runner.data.data import Data
from runner.data.fingerprint import fingerprint
from runner.data.lengths import Lengths
from runner.data.loader import Loader, train_loader
from runner.errors import DataError
from tests.data.test_loader import taken

EASY = TensorDataset(torch.arange(10))
HARD = TensorDataset(torch.arange(100, 107))
LAST = TensorDataset(torch.arange(200, 202))


def loader_of(*stages: Any, accumulation: int = 1, **surroundings: Any) -> Loader:
    options = LoaderOptions(batch_size=3, num_workers=surroundings.pop("num_workers", 0))
    return train_loader(
        Curriculum(stages),
        options,
        seed=5,
        collate=None,
        pin_memory=False,
        accumulation=accumulation,
        **surroundings,
    )


def seen(loader: Loader, epoch: int, start: int = 0) -> list[list[int]]:
    return [micro.content[0].tolist() for micro in taken(loader.epoch(epoch, start))]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_epoch_is_one_pass_over_the_dataset_of_its_stage(num_workers: int) -> None:
    loader = loader_of((EASY, "2 epochs"), (HARD, 1), (LAST, None), num_workers=num_workers)
    epochs = [sorted(chain(*seen(loader, epoch))) for epoch in range(5)]
    loader.close()
    assert epochs == [[*range(10)]] * 2 + [[*range(100, 107)]] + [[200, 201]] * 2
    assert loader.lengths == Lengths(1, ((2, 4), (1, 3)))
    assert loader.num_batches == 4


def test_a_stage_of_steps_ends_within_an_epoch() -> None:
    loader = loader_of((EASY, "5 steps"), (HARD, None), accumulation=2)
    assert loader.lengths == Lengths(3, ((2, 4), (1, 2)))
    whole = seen(loader_of((EASY, 3), (HARD, None)), 2)
    assert seen(loader, 2) == whole[:2]
    assert seen(loader, 3)[0][0] >= 100


def test_a_short_stage_is_less_than_an_epoch() -> None:
    loader = loader_of((EASY, "2 steps"), (HARD, None))
    assert loader.lengths == Lengths(3, ((1, 2),))


def test_a_limit_shortens_every_stage() -> None:
    loader = loader_of((EASY, "5 steps"), (HARD, 2), (LAST, None), max_batches=2)
    assert loader.lengths == Lengths(1, ((2, 2), (1, 1), (2, 2)))


def test_the_parts_of_the_ranks_make_the_batches_of_one_process() -> None:
    stages = (EASY, 1), (HARD, None)
    for epoch in (0, 1):
        parts = [loader_of(*stages, rank=rank, num_ranks=3) for rank in range(3)]
        own = [taken(loader.epoch(epoch)) for loader in parts]
        together = [
            [int(n) for part in group if part.counts for n in part.content[0]]
            for group in zip(*own, strict=True)
        ]
        assert together == seen(loader_of(*stages), epoch)


def test_any_place_is_found_again() -> None:
    stages = (EASY, "5 steps"), (HARD, None)
    for epoch in range(4):
        assert seen(loader_of(*stages), epoch, 1) == seen(loader_of(*stages), epoch)[1:]


@pytest.mark.parametrize("accumulation", [1, 2, 3])
def test_steps_and_epochs_are_counted_through_all_stages(accumulation: int) -> None:
    lengths = Lengths(2, ((2, 5), (1, 1), (3, 4)))
    counted = 0
    for epoch in range(12):
        assert lengths.steps(epoch, accumulation) == counted
        of_epoch = -(-lengths.of(epoch) // accumulation)
        for step in range(of_epoch):
            assert lengths.epochs_in(counted + step, accumulation) == (epoch, step)
        counted += of_epoch
    assert lengths.shortest == 1


def test_other_stages_are_other_data() -> None:
    def of(*stages: Any) -> dict[str, str]:
        return fingerprint(Data(train=Curriculum(stages)))

    assert of((EASY, 1), (HARD, None)) == of((EASY, "1 epochs"), (HARD, None))
    others = [of((EASY, 2), (HARD, None)), of((HARD, 1), (EASY, None)), of((EASY, None))]
    assert all(other != of((EASY, 1), (HARD, None)) for other in others)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "at least one stage"),
        ([(EASY, None), (HARD, None)], "stage 1 of 2 .* has the duration null"),
        ([(EASY, 1), (HARD, 1)], "stage 2 of 2 .* has the duration 1 epochs: .* the last goes on"),
        ([(EASY, "3 minutes"), (HARD, None)], "stage 1 .*cannot be counted in minutes"),
        ([(EASY, "soon"), (HARD, None)], "stage 1 .*'soon' is no duration"),
        ([EASY], "must be a pair of a dataset and a duration"),
        ([(iter([1]), None)], "stage 1 .* random access"),
        ([(TensorDataset(torch.zeros(0)), None)], "a length above 0"),
    ],
)
def test_what_is_no_curriculum_is_refused(stages: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Curriculum(stages)

"""Ready-made loaders: taken apart, or read as they are."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

from runner.config.options import LoaderOptions
from runner.data.batches import Batches, BatchesLoader, check_batches, num_samples_of
from runner.data.collate import collate_of
from runner.data.ready_made import from_loaders
from runner.errors import ConfigError, DataError
from tests.data.test_loader import taken

TEN = TensorDataset(torch.arange(10))


def summed(samples: list[Any]) -> Any:
    return sum(sample[0] for sample in samples)


class Stateless:
    """Batches in an order that Python's generator decides."""

    def __init__(self, count: int = 6) -> None:
        self.count = count

    def __iter__(self) -> Iterator[torch.Tensor]:
        numbers = list(range(self.count))
        random.shuffle(numbers)
        for number in numbers:
            yield torch.tensor([number, random.randrange(1000)])


class Stateful:
    """Batches in an order of its own that goes on from epoch to epoch."""

    def __init__(self) -> None:
        self.drawn, self.position, self.order = 0, 0, []

    def __iter__(self) -> Iterator[torch.Tensor]:
        if self.position in (0, 5):
            self.drawn += 1
            self.order = random.Random(self.drawn).sample(range(5), 5)
            self.position = 0
        while self.position < 5:
            self.position += 1
            yield torch.tensor([self.order[self.position - 1]])

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn, "position": self.position, "order": list(self.order)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.drawn, self.position = state["drawn"], state["position"]
        self.order = list(state["order"])


def test_a_dataloader_is_taken_apart_into_data_and_options() -> None:
    data, options = from_loaders(
        DataLoader(TEN, batch_size=4, shuffle=True, drop_last=True, num_workers=1),
        evaluation=DataLoader(TEN, batch_size=8),
        test=DataLoader(TEN, batch_size=5, collate_fn=summed),
    )
    assert data.train is data.evaluation is data.test is TEN
    assert options == LoaderOptions(
        batch_size=4, evaluation_batch_size=5, shuffle=True, drop_last=True, num_workers=1
    )
    assert collate_of(data, "train") is collate_of(data, "evaluation") is default_collate
    assert collate_of(data, "test") is summed
    assert data.sampler is None


def test_a_dataloader_in_order_stays_in_order() -> None:
    _, options = from_loaders(DataLoader(TEN, batch_size=2))
    assert not options.shuffle
    assert options.evaluation_batch_size is None


def test_several_evaluation_loaders_keep_their_names() -> None:
    data, options = from_loaders(
        DataLoader(TEN), evaluation={"a": DataLoader(TEN, batch_size=3), "b": DataLoader(TEN)}
    )
    assert list(data.splits()) == ["train", "evaluation.a", "evaluation.b"]
    assert options.evaluation_batch_size == 1


def test_a_subset_sampler_is_a_subset_in_random_order() -> None:
    data, options = from_loaders(DataLoader(TEN, sampler=SubsetRandomSampler([1, 5, 7])))
    assert isinstance(data.train, Subset)
    assert list(data.train.indices) == [1, 5, 7]
    assert options.shuffle
    data, _ = from_loaders(
        DataLoader(TEN), evaluation=DataLoader(TEN, sampler=SubsetRandomSampler([2, 3]))
    )
    assert [int(data.evaluation[i][0]) for i in range(2)] == [2, 3]  # type: ignore[index]


@pytest.mark.parametrize(
    "sampler",
    [WeightedRandomSampler([1.0] * 10, 4), RandomSampler(TEN, replacement=True, num_samples=20)],
)
def test_another_sampler_decides_in_training_and_is_refused_in_evaluation(sampler: Any) -> None:
    data, _ = from_loaders(DataLoader(TEN, sampler=sampler))
    assert data.sampler is sampler
    with pytest.raises(DataError, match=r"data.evaluation: its sampler .* every sample once"):
        from_loaders(DataLoader(TEN), evaluation=DataLoader(TEN, sampler=sampler))


def test_a_batch_sampler_is_refused() -> None:
    class Own(BatchSampler):
        pass

    loader = DataLoader(TEN, batch_sampler=Own(SequentialSampler(TEN), 2, drop_last=False))
    with pytest.raises(DataError, match="Own as its batch_sampler"):
        from_loaders(loader)


def test_samples_that_are_batches_stay_what_they_are() -> None:
    data, options = from_loaders(DataLoader(TEN, batch_size=None))
    assert options.batch_size == 1
    collate = collate_of(data, "train")
    assert collate is not None
    assert torch.equal(collate([TEN[3]])[0], torch.tensor(3))


def test_what_is_not_used_is_told(caplog: pytest.LogCaptureFixture) -> None:
    from_loaders(DataLoader(TEN, worker_init_fn=print))
    assert "worker_init_fn of the DataLoader is not called" in caplog.text


def test_a_loader_that_iterates_in_its_own_way_is_not_taken_apart() -> None:
    class Own(DataLoader):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            return iter(())

    data, options = from_loaders(Own(TEN, batch_size=7), inexact=True)
    assert isinstance(data.train, Batches)
    assert options == LoaderOptions()


def read(source: Any, epoch: int, start: int = 0, state: Any = None) -> tuple[list[Any], Any]:
    """Return all batches of an epoch, and where it stood after two of them and at the end."""
    part = BatchesLoader(Batches(source, inexact=True), seed=3).epoch(epoch, start, state)
    first = part.take(2)
    middle = part.state_dict()
    rest = taken(part)
    return [micro.content.tolist() for micro in [*first, *rest]], (middle, part.state_dict())


def test_batches_with_a_state_go_on_within_an_epoch_and_at_its_end() -> None:
    first, (middle, end) = read(Stateful(), 0)
    second, _ = read(Stateful(), 1, state=end)
    assert sorted(first) == sorted(second)
    assert first != second, "the source draws an order for each epoch"
    assert read(Stateful(), 0, 2, middle)[0] == first[2:]


def test_batches_without_a_state_are_read_again_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, _ = read(Stateless(), 4)
    assert not caplog.records
    assert read(Stateless(), 4, 3)[0] == first[3:]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "3 of them passed over: Stateless has no state" in caplog.text
    assert read(Stateless(), 5)[0] != first


def test_reading_batches_draws_nothing_from_the_generators_of_training() -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    read(Stateless(), 0)
    assert random.random() == expected


def test_a_limit_ends_an_epoch_and_the_next_begins_anew() -> None:
    loader = BatchesLoader(Batches(Stateful()), seed=3, max_batches=2)
    first = loader.epoch(0)
    contents = [micro.content for micro in taken(first)]
    assert len(contents) == 2
    again = taken(loader.epoch(1, 0, first.state_dict()))
    assert [micro.content for micro in again] == contents


def test_an_error_in_looking_ahead_waits_for_the_next_batch() -> None:
    class Failing:
        def __iter__(self) -> Iterator[torch.Tensor]:
            yield torch.zeros(3)
            raise OSError("gone")

    epoch = BatchesLoader(Batches(Failing(), inexact=True), seed=0).epoch(0)
    (micro,) = epoch.take(1)
    assert (micro.size, micro.num_samples) == (3, 3)
    assert not epoch.is_over
    with pytest.raises(OSError, match="gone"):
        epoch.take(1)


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        (Batches(Stateless()), {}, "inexact=True"),
        (Batches(Stateful()), {"num_ranks": 2}, "2 ranks cannot share"),
        (Batches(iter([1]), inexact=True), {}, "read only once"),
    ],
)
def test_batches_that_cannot_be_trained_on_are_refused(
    dataset: Batches, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((DataError, ConfigError), match=message):
        check_batches(dataset, name="train", must_resume=True, **{"num_ranks": 1, **options})


def test_a_list_of_batches_needs_no_state() -> None:
    check_batches(Batches([1, 2]), name="train", must_resume=True, num_ranks=1)
    check_batches(Batches(Stateless()), name="evaluation", must_resume=False, num_ranks=1)


@pytest.mark.parametrize(
    ("batch", "size"),
    [
        (torch.zeros(4, 2), 4),
        ({"text": ["a", "b"], "n": 1}, 2),
        ((torch.zeros(3), 1), 3),
        ([{"x": torch.zeros(5)}], 5),
        (["a", "b"], 2),
        ("text", 1),
    ],
)
def test_the_samples_of_a_batch_are_counted(batch: Any, size: int) -> None:
    assert num_samples_of(batch) == size


class WithCollate(TensorDataset):
    """A dataset with a function that a DataLoader does not know of."""

    def collate_fn(self, _samples: list[Any]) -> str:
        return "own"


def test_the_default_of_a_dataloader_stands_before_what_the_dataset_has() -> None:
    data, _ = from_loaders(DataLoader(WithCollate(torch.arange(4)), batch_size=2))
    assert collate_of(data, "train") is default_collate

import copy
import logging
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from runner.config.options import LoaderOptions
from runner.data.data import Stream
from runner.data.epoch import Epoch, MicroBatch
from runner.data.loader import Loader, evaluation_loader, train_loader
from runner.data.stream import MOST_READERS, check_stream
from runner.errors import DataError
from tests.data.streams import Numbers, Odd, OwnIterator, SharesItselfOut, Stateless

UNEQUAL = (7, 2, 0, 12)


def loader_of(
    dataset: Stream, *, max_batches: int = 0, rank: int = 0, num_ranks: int = 1, **options: Any
) -> Loader:
    return train_loader(
        dataset,
        LoaderOptions(**{"batch_size": 3, **options}),
        seed=5,
        collate=None,
        pin_memory=False,
        max_batches=max_batches,
        rank=rank,
        num_ranks=num_ranks,
    )


def taken(epoch: Epoch, count: int = 1) -> list[MicroBatch]:
    micro_batches = []
    while not epoch.is_over:
        micro_batches += epoch.take(count)
    return micro_batches


def numbers(micro_batches: list[MicroBatch]) -> list[list[int]]:
    return [batch.content[:, 0].int().tolist() for batch in micro_batches]


def assert_same(some: list[MicroBatch], others: list[MicroBatch]) -> None:
    for one, other in zip(some, others, strict=True):
        assert one[1:] == other[1:]
        assert torch.equal(one.content, other.content)


def test_shards_fill_batches_of_their_own_in_turn() -> None:
    batches = taken(loader_of(Numbers(*UNEQUAL)).epoch(0))
    assert numbers(batches) == [
        [0, 1, 2],
        [100, 101],
        [300, 301, 302],
        [3, 4, 5],
        [303, 304, 305],
        [6],
        [306, 307, 308],
        [309, 310, 311],
    ]


def test_a_batch_that_is_not_whole_is_dropped_from_every_shard() -> None:
    batches = taken(loader_of(Numbers(*UNEQUAL), drop_last=True).epoch(0))
    assert [batch.size for batch in batches] == [3] * 6


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
@pytest.mark.parametrize(
    ("num_workers", "lengths"), [(1, UNEQUAL), (2, UNEQUAL), (3, (8, 1, 4, 0, 3, 9))]
)
def test_the_stream_is_the_same_for_any_number_of_workers(
    num_workers: int, lengths: tuple[int, ...]
) -> None:
    alone = loader_of(Numbers(*lengths))
    shared = loader_of(Numbers(*lengths), num_workers=num_workers)
    for epoch in range(2):
        assert_same(taken(alone.epoch(epoch), 2), taken(shared.epoch(epoch), 2))


def test_epochs_differ_in_their_random_numbers_and_are_told_which_they_are() -> None:
    loader = loader_of(Numbers(4))
    first, second = (taken(loader.epoch(epoch))[0].content for epoch in (0, 1))
    assert first[:, 1].tolist() == [0, 0, 0]
    assert second[:, 1].tolist() == [1, 1, 1]
    assert not torch.equal(first[:, 2:], second[:, 2:])


@pytest.mark.parametrize("dataset", [Numbers(*UNEQUAL), Numbers(10), OwnIterator(10)])
@pytest.mark.parametrize("workers", [(0, 0), (0, 2), (2, 0), (2, 1)])
def test_an_epoch_goes_on_where_it_was_cut(dataset: Numbers, workers: tuple[int, int]) -> None:
    before, after = (loader_of(dataset, num_workers=number) for number in workers)
    whole = taken(before.epoch(1))
    for cut in range(1, len(whole)):
        epoch = before.epoch(1)
        assert_same(epoch.take(cut), whole[:cut])
        assert not epoch.is_over  # which reads ahead
        state = pickle.loads(pickle.dumps(epoch.state_dict()))
        rest = after.epoch(1, cut, state)
        assert_same(taken(rest), whole[cut:])
    assert_same(taken(after.epoch(1)), whole)  # a later epoch begins anew


def test_the_state_of_an_epoch_gone_on_with_is_that_of_the_whole_one() -> None:
    epoch = loader_of(Numbers(*UNEQUAL)).epoch(0)
    epoch.take(2)
    rest = loader_of(Numbers(*UNEQUAL)).epoch(0, 2, epoch.state_dict())
    assert rest.state_dict() == epoch.state_dict()
    epoch.take(3)
    rest.take(3)
    assert rest.state_dict() == epoch.state_dict()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_given_up_leaves_nothing_behind(num_workers: int) -> None:
    loader = loader_of(Numbers(*UNEQUAL), num_workers=num_workers)
    whole = taken(loader.epoch(0))
    loader.epoch(0).take(2)
    assert_same(taken(loader.epoch(0)), whole)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_parts_of_the_ranks_make_the_batch_of_one_process(num_workers: int) -> None:
    whole = taken(loader_of(Numbers(*UNEQUAL)).epoch(0))
    epochs = [
        loader_of(Numbers(*UNEQUAL), rank=rank, num_ranks=3, num_workers=num_workers).epoch(0)
        for rank in range(3)
    ]
    for batch in whole:
        parts = [part for epoch in epochs for part in epoch.take(1)]
        assert all(part.size == batch.size for part in parts)
        own = torch.cat([part.content for part in parts if part.counts])
        assert torch.equal(own, batch.content)
        states = [epoch.state_dict() for epoch in epochs]
        assert states == states[:1] * 3
    assert all(epoch.is_over for epoch in epochs)


def test_reading_draws_nothing_from_the_generators_of_training() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    taken(loader_of(Numbers(5, 5)).epoch(0))
    assert torch.equal(torch.rand(3), expected)


def test_the_dataset_that_was_given_stays_as_it_was() -> None:
    dataset = Numbers(10)
    before = copy.copy(vars(dataset))
    loader_of(dataset).epoch(3).take(2)
    assert vars(dataset) == before


def test_a_dataset_that_shares_itself_out_among_workers_is_read_whole() -> None:
    batches = taken(loader_of(SharesItselfOut(10), num_workers=2).epoch(0))
    assert numbers(batches) == numbers(taken(loader_of(Numbers(10)).epoch(0)))


def test_fewer_workers_than_asked_for_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        loader = loader_of(Numbers(3, 3, 3, 3), num_workers=3)
    (told,) = caplog.messages
    assert told.startswith("data.num_workers=3: 2 read")
    assert loader.num_batches is None


def test_an_epoch_is_as_short_as_it_is_made() -> None:
    loader = loader_of(Numbers(*UNEQUAL), max_batches=3)
    whole = taken(loader.epoch(0), 2)
    assert numbers(whole) == [[0, 1, 2], [100, 101], [300, 301, 302]]
    epoch = loader.epoch(0)
    epoch.take(2)
    assert_same(taken(loader.epoch(0, 2, epoch.state_dict())), whole[2:])


def test_evaluation_needs_no_state_and_sees_every_sample() -> None:
    class Plain:
        def __iter__(self):
            return iter(torch.arange(5.0).unsqueeze(1))

    loader = evaluation_loader(
        Plain(),
        LoaderOptions(batch_size=2, drop_last=True),
        seed=0,
        collate=None,
        pin_memory=False,
    )
    for _ in range(2):
        assert numbers(taken(loader.epoch(0))) == [[0, 1], [2, 3], [4]]


def test_nothing_is_read_before_it_is_asked_for() -> None:
    read: list[int] = []

    class Telling(Numbers):
        deterministic = True

        def __iter__(self):
            for sample in super().__iter__():
                read.append(self.position)
                yield sample

    epoch = loader_of(Telling(20)).epoch(0)
    epoch.take(2)
    assert read == [1, 2, 3, 4, 5, 6]
    read.clear()
    rest = loader_of(Telling(20)).epoch(0, 2, epoch.state_dict())
    rest.take(1)
    assert read == [7, 8, 9]


def test_more_shards_than_readers_are_asked_for_in_larger_ones() -> None:
    asked = []

    class Many(Numbers):
        num_shards = 1000  # type: ignore[assignment]

        def shard(self, num_shards: int, index: int) -> Numbers:
            asked.append((num_shards, index))
            return Numbers(1)

    assert len(taken(loader_of(Many()).epoch(0))) == MOST_READERS
    assert asked == [(MOST_READERS, index) for index in range(MOST_READERS)]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_state_that_no_checkpoint_gives_back_is_refused(num_workers: int) -> None:
    with pytest.raises(DataError, match=r"^data: state_dict\(\) .* keep to numbers, texts"):
        loader_of(Odd(5), num_workers=num_workers).epoch(0).take(1)


def test_a_dataset_that_gives_nothing_is_an_error() -> None:
    with pytest.raises(DataError, match="gave no micro-batch at all"):
        loader_of(Numbers(0, 0)).epoch(0).take(1)


def test_what_a_dataset_lacks_is_named() -> None:
    with pytest.raises(DataError, match="data.train .* no state_dict and load_state_dict, so"):
        check_stream(Stateless(), split="train", must_resume=True)
    check_stream(Stateless(), split="test", must_resume=False)
    with pytest.raises(DataError, match="data.test is an iterator"):
        check_stream(iter([1]), split="test", must_resume=False)
    stateless = Stateless()
    stateless.num_shards = 2  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"num_shards=2 but no shard\(num_shards, index\)"):
        check_stream(stateless, split="test", must_resume=False)
    check_stream(Numbers(3, 3), split="train", must_resume=True)


def test_a_tensor_in_the_state_is_given_back() -> None:
    class WithTensor(Numbers):
        def state_dict(self) -> dict[str, Any]:
            return {"position": torch.tensor(self.position)}

        def load_state_dict(self, state: dict[str, Tensor]) -> None:
            self.position = int(state["position"])

    epoch = loader_of(WithTensor(10)).epoch(0)
    epoch.take(1)
    rest = loader_of(WithTensor(10)).epoch(0, 1, epoch.state_dict())
    assert numbers(rest.take(1)) == [[3, 4, 5]]

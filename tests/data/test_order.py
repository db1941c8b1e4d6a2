from hypothesis import given
from hypothesis import strategies as st

from runner.data.order import BatchOrder, epoch_order


@given(st.integers(1, 50), st.integers(1, 12), st.integers(0, 5), st.booleans())
def test_an_epoch_holds_every_sample_once(
    length: int, batch_size: int, epoch: int, shuffle: bool
) -> None:
    order = BatchOrder(
        length=length, batch_size=batch_size, seed=1, shuffle=shuffle, with_epoch=True
    )
    order.start_at(epoch, 0)
    batches = list(order)
    assert len(batches) == len(order)
    keys = [key for batch in batches for key in batch]
    assert sorted(index for _, index in keys) == list(range(length))
    assert {own_epoch for own_epoch, _ in keys} == {epoch}


@given(st.integers(1, 50), st.integers(1, 12), st.integers(0, 60))
def test_starting_in_the_middle_gives_the_rest(length: int, batch_size: int, start: int) -> None:
    order = BatchOrder(length=length, batch_size=batch_size, seed=1, shuffle=True)
    order.start_at(2, 0)
    whole = list(order)
    order.start_at(2, start)
    assert list(order) == whole[start:]


def test_epochs_and_seeds_are_shuffled_differently() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return list(epoch_order(seed=seed, epoch=epoch, length=50, shuffle=True))

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_drop_last_leaves_out_the_rest() -> None:
    order = BatchOrder(length=10, batch_size=4, drop_last=True)
    assert list(order) == [[0, 1, 2, 3], [4, 5, 6, 7]]

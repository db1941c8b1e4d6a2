from hypothesis import given
from hypothesis import strategies as st

from runner.data.epoch import MicroBatch, share_of


@given(st.integers(1, 40), st.integers(1, 9))
def test_the_ranks_share_out_every_sample_once(size: int, num_ranks: int) -> None:
    shares = [share_of(size, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
    samples = [n for share in shares if share.counts for n in range(size)[share.part]]
    assert samples == list(range(size))
    assert all(share.size == size for share in shares)


def test_a_rank_without_samples_takes_one_that_does_not_count() -> None:
    shares = [share_of(2, rank=rank, num_ranks=4) for rank in range(4)]
    assert [share.counts for share in shares] == [True, False, True, False]
    assert all(MicroBatch(None, *share).num_samples == 1 for share in shares)

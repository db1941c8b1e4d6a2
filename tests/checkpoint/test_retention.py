from hypothesis import given
from hypothesis import strategies as st

from runner.checkpoint.retention import steps_to_delete


def test_keeps_the_newest_and_the_best() -> None:
    assert steps_to_delete([1, 2, 3, 4, 5], keep_last=2, best=[2]) == [1, 3]


@given(st.sets(st.integers(0, 99)), st.integers(0, 9), st.sets(st.integers(0, 99)))
def test_never_deletes_the_newest_or_the_best(
    saved: set[int], keep_last: int, best: set[int]
) -> None:
    doomed = steps_to_delete(saved, keep_last=keep_last, best=best)
    assert set(doomed) <= saved
    assert not set(doomed) & best
    assert not saved or max(saved) not in doomed
    assert len(saved) - len(doomed) <= max(1, keep_last) + len(best)


def test_keeps_the_anchor_and_every_nth() -> None:
    saved = [0, 1, 2, 3, 4, 5, 6, 7]
    assert steps_to_delete(saved, keep_last=1, best=[], anchor=1, every_steps=3) == [0, 2, 4, 5]

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.metrics.text import CharacterErrorRate, WholeTextAccuracy, edit_distance

steady = settings(deadline=None, derandomize=True)  # the same examples, however slow
words = st.text(alphabet="ab۱", max_size=7)


def reference_distance(text: str, target: str) -> int:
    """Follow the definition, without any table."""
    if not text or not target:
        return len(text) + len(target)
    if text[0] == target[0]:
        return reference_distance(text[1:], target[1:])
    return 1 + min(
        reference_distance(text[1:], target),
        reference_distance(text, target[1:]),
        reference_distance(text[1:], target[1:]),
    )


@pytest.mark.parametrize(
    ("text", "target", "distance"),
    [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2), ("۱۲ب", "۱۳ب", 1)],
)
def test_known_distances(text, target, distance):
    assert edit_distance(text, target) == distance


@steady
@given(words, words)
def test_distance_follows_its_definition(text, target):
    assert edit_distance(text, target) == reference_distance(text, target)


@steady
@given(words, words, words)
def test_distance_is_symmetric_and_obeys_the_triangle(a, b, c):
    assert edit_distance(a, b) == edit_distance(b, a)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


def test_error_rate_counts_characters_not_texts():
    cer = CharacterErrorRate()
    cer.update(["a", "abcdefgh"], ["b", "abcdefgh"])
    assert cer.compute() == 1 / 9


def test_error_rate_counts_added_and_lost_characters():
    cer = CharacterErrorRate()
    cer.update(["", "abcd"], ["ab", "ab"])
    assert cer.compute() == 1.0


def test_whole_texts_must_be_exactly_right():
    whole = WholeTextAccuracy()
    whole.update(["ab", "ac", ""], ["ab", "ab", ""])
    assert whole.compute() == 2 / 3


@steady
@given(st.lists(st.tuples(words, words), min_size=1, max_size=12), st.integers(0, 12))
def test_sum_of_states_equals_one_process(pairs, cut):
    for kind in (CharacterErrorRate, WholeTextAccuracy):
        whole, left, right, together = kind(), kind(), kind(), kind()
        for metric, part in ((whole, pairs), (left, pairs[:cut]), (right, pairs[cut:])):
            metric.update([text for text, _ in part], [target for _, target in part])
        together.load(left.state() + right.state())
        assert together.compute() == pytest.approx(whole.compute(), nan_ok=True, abs=0)


def test_nothing_seen_is_not_a_number():
    assert math.isnan(CharacterErrorRate().compute())
    assert math.isnan(WholeTextAccuracy().compute())


def test_different_numbers_of_texts_are_a_mistake():
    with pytest.raises(ValueError, match="zip"):
        CharacterErrorRate().update(["a"], [])

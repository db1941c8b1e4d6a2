import math

import pytest

from runner.training.callbacks.moving_average import MovingAverage


def test_the_average_of_a_constant_is_that_constant_from_the_first_value_on():
    average = MovingAverage(0.98)
    assert [average.update(3.0, steps=n) for n in (1, 7, 50)] == pytest.approx([3.0, 3.0, 3.0])


def test_a_value_for_several_steps_counts_as_often():
    once, often = MovingAverage(0.9), MovingAverage(0.9)
    for average in (once, often):
        average.update(1.0)
    for _ in range(4):
        last = often.update(2.0)
    assert once.update(2.0, steps=4) == pytest.approx(last)


def test_what_is_no_number_does_not_count():
    average = MovingAverage(0.9)
    assert average.update(math.nan) is None
    average.update(1.0)
    assert average.update(math.inf) == pytest.approx(1.0)

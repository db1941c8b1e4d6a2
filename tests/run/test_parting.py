"""The first value at which the journals of two runs part."""

import math

from runner.run.journal import Row
from runner.run.parting import parting_of


def rows(*values: float, split: str = "evaluation", every: int = 10) -> list[Row]:
    return [
        Row(step=every * at, epoch=0.0, time=0.0, split=split, values={"loss": value})
        for at, value in enumerate(values, start=1)
    ]


def test_the_first_value_that_differs_by_a_bit_is_found() -> None:
    other = math.nextafter(0.3, 1.0)
    parting = parting_of(rows(0.5, 0.3, 0.2), rows(0.5, other, 0.9))
    assert parting.have_parted
    assert (parting.step, parting.metric) == (20, "evaluation.loss")
    assert (parting.first, parting.second, parting.num_equal) == (0.3, other, 1)


def test_a_tolerance_lets_small_differences_pass() -> None:
    first, second = rows(0.5, 0.3, 0.2), rows(0.5, 0.3 + 1e-9, 0.21)
    assert parting_of(first, second, rtol=1e-6).step == 30
    assert not parting_of(first, second, rtol=0.1).have_parted


def test_equal_journals_are_equal_up_to_the_shorter_end() -> None:
    nan = math.nan
    parting = parting_of(rows(0.5, nan, 0.2), rows(0.5, nan))
    assert not parting.have_parted and (parting.num_equal, parting.step) == (2, 20)


def test_rows_that_one_lacks_and_the_machine_say_nothing() -> None:
    first = [*rows(0.5, 0.4, every=5), *rows(100.0, split="speed")]
    second = [*rows(0.4, every=10), *rows(200.0, split="speed")]
    parting = parting_of(first, second)
    assert not parting.have_parted and parting.num_equal == 1
    assert parting_of(rows(1.0), []).has_nothing


def test_steps_decide_what_comes_first_not_the_order_of_the_lines() -> None:
    first, second = rows(0.5, 0.4), rows(0.6, 0.3)
    assert parting_of(first[::-1], second).step == 10

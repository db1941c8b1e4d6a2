import math

import pytest

from runner.run.journal import Row
from runner.run.parting import RowComparison, compare_rows, first_parting


def row(step: int, split: str = "train", **values: float) -> Row:
    return Row(step=step, epoch=0.0, time=float(step), split=split, values=values)


def test_equal_journals_agree_whatever_time_and_machine_did() -> None:
    first = [row(1, loss=0.5, batch_seconds=1.0), row(1, "speed", rate=9.0), row(2, loss=math.nan)]
    second = [row(1, loss=0.5, batch_seconds=2.0), row(1, "system", cpu=1.0), row(2, loss=math.nan)]
    assert compare_rows(first, second) == RowComparison(
        last_step=2, compared=2, differing=0, lacking=0, parting=None
    )
    assert compare_rows(first, second).is_exact


def test_the_first_difference_is_told_in_the_order_of_steps() -> None:
    first = [row(1, loss=0.5), row(3, loss=0.1), row(2, "evaluation", cer=0.5, loss=0.25)]
    second = [row(3, loss=0.2), row(2, "evaluation", cer=0.5, loss=0.5), row(1, loss=0.5)]
    parting = first_parting(first, second)
    assert parting is not None
    assert (parting.step, parting.metric, parting.difference) == (2, "evaluation.loss", 0.25)
    assert compare_rows(first, second).differing == 2


def test_a_single_bit_counts_and_rtol_forgives_it() -> None:
    first, second = [row(1, loss=0.1)], [row(1, loss=math.nextafter(0.1, 1))]
    assert first_parting(first, second) is not None
    assert first_parting(first, second, rtol=1e-12) is None
    assert first_parting([row(1, loss=0.1)], [row(1, loss=0.2)], rtol=1e-2) is not None
    assert first_parting([row(1, loss=math.inf)], [row(1, loss=1.0)], rtol=1e-2) is not None


def test_a_longer_run_agrees_with_a_shorter_one() -> None:
    first = [row(1, loss=0.5), row(2, loss=0.4), row(3, loss=0.3)]
    assert compare_rows(first, first[:2]).is_exact
    assert compare_rows(first, first[:2]).last_step == 2
    assert compare_rows(first, [*first[:2], row(3, loss=9.0)], until=2).is_exact


def test_what_one_logs_alone_is_told_but_is_no_difference_of_values() -> None:
    first = [row(1, loss=0.5), row(2, loss=0.4)]
    second = [row(2, loss=0.4)]
    found = compare_rows(first, second)
    assert (found.lacking, found.differing, found.is_exact) == (1, 0, False)
    assert found.parting is not None
    assert (found.parting.step, found.parting.difference) == (1, None)
    assert first_parting(first, second) is None


@pytest.mark.parametrize("rows", [[], [row(1, loss=0.5)]])
def test_nothing_compared_is_no_agreement(rows: list[Row]) -> None:
    assert not compare_rows(rows, []).is_exact

"""Whether two groups of runs differ: the same figures as scipy's tests."""

from dataclasses import replace

import pytest
from scipy import stats

from runner.reports.comparison.significance import PAIRED, WELCH, Difference, adjusted, difference

A = [(1, 0.42), (2, 0.45), (3, 0.40), (4, 0.47)]
B = [(1, 0.40), (2, 0.44), (3, 0.39), (4, 0.44)]
NAMES = ("A", "B")


def test_equal_seeds_are_paired() -> None:
    found = difference(A, B[::-1], names=NAMES, metric="m")
    truth = stats.ttest_rel([v for _, v in B], [v for _, v in A])
    low, high = truth.confidence_interval(0.95)
    assert found.method == PAIRED
    assert found.p == pytest.approx(truth.pvalue, rel=1e-9)
    assert found.mean == pytest.approx((low + high) / 2)
    assert found.half_width == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("second", [B[:3], [(seed + 7, value) for seed, value in B], [*B, B[0]]])
def test_other_seeds_are_compared_by_welch(second: list[tuple[int, float]]) -> None:
    found = difference(A, second, names=NAMES, metric="m")
    truth = stats.ttest_ind([v for _, v in second], [v for _, v in A], equal_var=False)
    low, high = truth.confidence_interval(0.95)
    assert found.method == WELCH
    assert found.p == pytest.approx(truth.pvalue, rel=1e-9)
    assert found.half_width == pytest.approx((high - low) / 2)


def test_one_run_a_side_has_no_p() -> None:
    found = difference(A[:1], B[:1], names=NAMES, metric="m")
    assert found.p is None and found.half_width is None
    assert found.mean == pytest.approx(-0.02)
    assert not adjusted([found])[0].is_real
    assert difference(A[:1], B, names=NAMES, metric="m").p is None


def test_values_that_do_not_scatter_have_no_p() -> None:
    shifted = [(seed, 0.75) for seed in (1, 2, 3)]
    found = difference([(seed, 0.5) for seed in (1, 2, 3)], shifted, names=NAMES, metric="m")
    assert (found.mean, found.p) == (0.25, None)


def test_several_differences_are_adjusted_by_holm() -> None:
    one = Difference(first="A", second="B", metric="m", mean=1, counts=(3, 3), method=WELCH)
    figures = [0.04, 0.01, None, 0.03, 0.9]
    found = adjusted([replace(one, p=p) for p in figures])
    # By hand: 0.01 * 4, 0.03 * 3, max(0.09, 0.04 * 2), max(0.09, 0.9)
    assert [each.adjusted for each in found] == pytest.approx([0.09, 0.04, None, 0.09, 0.9])
    assert [each.is_real for each in found] == [False, True, False, False, False]


def test_values_near_the_largest_number_are_compared() -> None:
    for others in ([(1, -1e308), (2, 1.1e308), (3, -1e308)], [(4, -1e308), (5, 1.1e308)]):
        found = difference(
            [(1, 1e308), (2, -1.2e308), (3, 1e308)], others, names=("A", "B"), metric="m"
        )
        assert found.p is not None and 0.05 < found.p < 1

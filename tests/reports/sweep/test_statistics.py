"""Means with intervals, seeds, effects of keys."""

import math
import random

import pytest
from scipy import stats

from runner.reports.sweep.statistics import (
    Estimate,
    effects,
    estimate,
    far_off,
    seed_deviation,
    seed_groups,
    spearman,
    without,
)
from runner.reports.sweep.table import ranked, short_label, unranked, values_in_order
from tests.reports.sweeps import result, sweep, with_state


def test_an_estimate_is_that_of_the_textbook() -> None:
    scores = [0.31, 0.29, 0.35, 0.30, 0.27]
    found = estimate(scores)
    low, high = stats.t.interval(0.95, 4, loc=found.mean, scale=stats.sem(scores))
    assert found.mean == pytest.approx(0.304)
    assert found.deviation == pytest.approx(stats.tstd(scores))
    assert found.half_width is not None
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(
        (low, high)
    )


def test_one_score_has_no_interval() -> None:
    found = estimate([0.3])
    assert (found.mean, found.count, found.deviation, found.half_width) == (0.3, 1, None, None)


def test_the_rank_correlation_is_that_of_scipy_also_with_ties() -> None:
    rng = random.Random(0)
    first = [rng.randrange(8) for _ in range(40)]
    second = [value + rng.gauss(0, 3) for value in first]
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert spearman([1, 2, 3], [math.exp(x) for x in (1, 2, 3)]) == pytest.approx(1.0)
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_runs_that_differ_in_the_seed_alone_are_a_group() -> None:
    runs = [
        result(0, 0.4, lr="0.1", seed="1"),
        result(1, 0.6, lr="0.1", seed="2"),
        result(2, 0.1, lr="0.2", seed="1"),
        with_state(3, 0.05, "failed", lr="0.2", seed="2"),
        with_state(4, None, "queued", lr="0.3", seed="1"),
    ]
    best, other = seed_groups(sweep(runs))
    assert (best.label, best.estimate.mean, best.estimate.count) == ("lr=0.2", 0.1, 1)
    assert best.num_without == 1
    assert (other.label, other.estimate.count) == ("lr=0.1", 2)
    assert other.estimate.mean == pytest.approx(0.5)
    assert [group.label for group in seed_groups(sweep(runs, mode="max"))] == ["lr=0.1", "lr=0.2"]


def test_without_seeds_there_are_no_groups() -> None:
    assert seed_groups(sweep([result(0, 0.4, lr="0.1")])) == []


def test_the_deviation_of_seeds_is_pooled_within_groups() -> None:
    runs = [
        result(0, 0.0, lr="1", seed="1"),
        result(1, 2.0, lr="1", seed="2"),
        result(2, 100.0, lr="2", seed="1"),
        result(3, 104.0, lr="2", seed="2"),
        result(4, 50.0, lr="3", seed="1"),
    ]
    assert seed_deviation(seed_groups(sweep(runs))) == pytest.approx(math.sqrt((2 + 8) / 2))
    assert seed_deviation([]) is None


def test_an_effect_is_the_mean_over_all_else_the_largest_first() -> None:
    runs = [
        result(0, 1.0, model="mlp", lr="0.1"),
        result(1, 2.0, model="mlp", lr="0.01"),
        result(2, 5.0, model="crnn", lr="0.1"),
        result(3, 8.0, model="crnn", lr="0.01"),
        with_state(4, 99.0, "pruned", model="crnn", lr="0.01"),
        result(5, math.nan, model="crnn", lr="0.01"),
    ]
    model, lr = effects(sweep(runs))
    assert (model.key, lr.key) == ("model", "lr")
    assert [(value, one.mean, one.count) for value, one in model.by_value] == [
        ("mlp", 1.5, 2),
        ("crnn", 6.5, 2),
    ]
    assert [value for value, _ in lr.by_value] == ["0.01", "0.1"]  # numbers by size
    assert (model.size, lr.size) == (5.0, 2.0)
    assert not lr.has_ranges and lr.correlation is None


def test_a_number_with_many_values_is_told_in_ranges_with_a_rank_correlation() -> None:
    runs = [result(number, number**2, lr=str(number / 10)) for number in range(20)]
    (effect,) = effects(sweep(runs))
    assert effect.has_ranges
    assert effect.correlation == pytest.approx(1.0)
    assert [label for label, _ in effect.by_value] == [
        "0 to 0.4",
        "0.5 to 0.9",
        "1 to 1.4",
        "1.5 to 1.9",
    ]
    assert sum(one.count for _, one in effect.by_value) == 20


def test_a_seed_of_its_own_for_each_run_is_no_key_to_compare_by() -> None:
    runs = [result(number, float(number), seed=str(number)) for number in range(20)]
    assert effects(sweep(runs)) == []
    assert [effect.key for effect in effects(sweep(runs[:4]))] == ["seed"]


def test_a_key_with_one_value_has_no_effect() -> None:
    assert effects(sweep([result(0, 1.0, lr="1"), result(1, 2.0, lr="1")])) == []


def test_a_run_that_diverged_is_far_off_and_an_ordinary_bad_one_is_not() -> None:
    runs = [result(number, 0.3 + number / 100, lr=str(number)) for number in range(10)]
    diverged, bad = result(10, 1e7, lr="9"), result(11, 0.6, lr="8")
    results = sweep([*runs, diverged, bad])
    assert far_off(results) == [diverged]
    assert diverged not in without(results, [diverged]).runs
    assert far_off(sweep([result(0, 0.1), result(1, 1e7)])) == []  # too few to tell


@pytest.mark.parametrize(("mode", "order"), [("min", [1, 0, 2]), ("max", [0, 2, 1])])
def test_only_completed_runs_with_a_number_are_ranked(mode: str, order: list[int]) -> None:
    runs = [
        result(2, 0.5),
        result(0, 0.5),
        result(1, 0.1),
        result(3, math.inf),
        result(4, None),
        with_state(5, 0.0, "running"),
    ]
    assert [run.number for run in ranked(runs, mode=mode)] == order
    assert [run.number for run in unranked(runs)] == [3, 4, 5]


def test_numbers_come_by_size_and_words_as_they_come() -> None:
    assert values_in_order(["1e-2", "null", "0.5", "a", "1e-3", "nan", "a"]) == [
        "1e-3",
        "1e-2",
        "0.5",
        "null",
        "a",
        "nan",
    ]


def test_a_short_label_keeps_what_tells_keys_apart() -> None:
    run = result(0, 1.0, optimizer__lr="0.1", model__size="3", data__size="4")
    assert short_label(run) == "lr=0.1 model.size=3 data.size=4"


def test_scores_near_the_largest_number_have_a_mean() -> None:
    found = estimate([1.5e308, 1.4e308, 1.6e308])
    assert found.mean == pytest.approx(1.5e308) and found.deviation == pytest.approx(1e307)
    assert estimate([0.25] * 3) == Estimate(mean=0.25, count=3, deviation=0.0, half_width=0.0)

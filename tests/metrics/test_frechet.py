import math

import pytest
import torch

from runner.metrics.frechet import FrechetDistance


def distance(predicted: torch.Tensor, targets: torch.Tensor, size: int = 8) -> float:
    metric = FrechetDistance(size)
    metric.update(predicted, targets)
    return metric.compute()


def samples(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_equal_sets_are_at_no_distance() -> None:
    assert distance(samples(50, 2, 3), samples(50, 2, 3)) == pytest.approx(0.0, abs=1e-6)


def test_it_is_that_of_two_normal_distributions() -> None:
    """In one dimension: (m - m')^2 + (s - s')^2, for variances over all samples."""
    one, other = samples(40, 1), 3.0 * samples(30, 1, seed=1) + 2.0
    means = (one.mean() - other.mean()).item()
    deviations = (one.std(correction=0) - other.std(correction=0)).item()
    assert distance(one, other) == pytest.approx(means**2 + deviations**2, rel=1e-5)


def test_the_sums_of_two_parts_give_the_value_of_the_whole() -> None:
    one, other = samples(40, 5), samples(40, 5, seed=1) * 2
    whole, first, second = (FrechetDistance(4) for _ in range(3))
    whole.update(one, other)
    first.update(one[:11], other[:11])
    second.update(one[11:], other[11:])
    first.load(first.state() + second.state())
    assert first.compute() == pytest.approx(whole.compute(), rel=1e-9)


def test_many_values_are_seen_along_some_directions() -> None:
    one, other = samples(200, 30), samples(200, 30, seed=1)
    near, far = distance(one, other), distance(one, other + 1.0)
    assert far - near == pytest.approx(8.0, rel=0.7)  # 30 x 1^2 seen in 8 of 30 directions
    assert distance(one, one) == pytest.approx(0.0, abs=1e-6)


def test_without_samples_there_is_none() -> None:
    assert math.isnan(FrechetDistance(4).compute())

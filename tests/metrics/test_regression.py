import math

import pytest
import torch

from runner.metrics.regression import R2, MeanAbsoluteError, RootMeanSquaredError
from runner.metrics.text import WordErrorRate

PREDICTED, TARGETS = torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([1.0, 4.0, 4.0])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(MeanAbsoluteError, 1.0), (RootMeanSquaredError, math.sqrt(5 / 3)), (R2, 1 - 5 / 6)],
)
def test_figures_and_their_sums_over_two_processes(kind, expected):
    whole, first, second, together = kind(), kind(), kind(), kind()
    whole.update(PREDICTED, TARGETS)
    first.update(PREDICTED[:1], TARGETS[:1])
    second.update(PREDICTED[1:], TARGETS[1:])
    together.load(first.state() + second.state())
    assert whole.compute() == pytest.approx(expected)
    assert together.compute() == whole.compute()
    assert math.isnan(kind().compute())


def test_r2_of_equal_targets_is_not_a_number():
    metric = R2()
    metric.update(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 3.0]))
    assert math.isnan(metric.compute())


def test_word_errors_count_words():
    metric = WordErrorRate()
    metric.update(["the cat sat", "a"], ["the dog sat down", "a"])
    assert metric.compute() == 2 / 5

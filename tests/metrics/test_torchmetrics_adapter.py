"""Metrics of torchmetrics: by a class with its interface, and the real ones where it is there."""

import pytest
import torch

from runner.errors import ConfigError
from runner.metrics.by_name import MetricSet
from runner.metrics.torchmetrics_adapter import TorchMetric, is_of_torchmetrics


def dim_zero_sum(values):
    return values.sum(dim=0)


def dim_zero_mean(values):
    return values.mean(dim=0)


class Metric:
    """What the adapter uses of torchmetrics' class of this name."""

    def __init__(self, reduction=dim_zero_sum, default=None):
        default = torch.zeros(2) if default is None else default
        self._defaults, self._reductions = {"sums": default}, {"sums": reduction}
        self.reset()

    def reset(self):
        self.sums = self._defaults["sums"]

    def update(self, predicted, targets):
        self.sums = self.sums + torch.tensor([(predicted - targets).abs().sum(), len(targets)])

    def compute(self):
        return self.sums[0] / self.sums[1]


Metric.__module__ = "torchmetrics.metric"


def test_sums_are_exact_over_processes():
    predicted, targets = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1.0, 1.0, 3.0])
    assert is_of_torchmetrics(Metric()) and not is_of_torchmetrics(targets)
    first, second, both = (MetricSet({"x": Metric()}).new()["x"] for _ in range(3))
    first.update(predicted[:1], targets[:1])
    second.update(predicted[1:], targets[1:])
    both.load(first.state() + second.state())
    assert both.compute() == pytest.approx(4 / 3)


@pytest.mark.parametrize("metric", [Metric(dim_zero_mean), Metric(default=[])])
def test_states_that_are_no_sums_are_refused(metric):
    with pytest.raises(ConfigError, match="is no sum"):
        TorchMetric(metric)


def test_a_metric_of_torchmetrics_gives_its_figure():
    torchmetrics = pytest.importorskip("torchmetrics")
    metric = TorchMetric(torchmetrics.MeanSquaredError())
    metric.update(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
    assert metric.compute() == 2.0

import math

import pytest
import torch

from runner.metrics.mean import Mean


def test_values_count_by_their_weight():
    mean = Mean()
    mean.update(torch.tensor(1.0), 3)
    mean.update(torch.tensor(5.0), 1)
    assert mean.compute() == 2.0


def test_states_of_two_ranks_add_up_to_that_of_one_process():
    torch.manual_seed(0)
    values = torch.rand(10)
    whole, ranks = Mean(), [Mean(), Mean()]
    for index, value in enumerate(values):
        whole.update(value, index + 1)
        ranks[index % 2].update(value, index + 1)
    together = Mean()
    together.load(ranks[0].state() + ranks[1].state())
    assert together.compute() == pytest.approx(whole.compute(), rel=1e-14)


def test_state_can_be_read_between_updates():
    mean = Mean()
    mean.update(torch.tensor(1.0), 1)
    assert mean.state().tolist() == [1.0, 1.0]
    mean.update(torch.tensor(2.0), 1)
    assert mean.state().tolist() == [3.0, 2.0]
    assert mean.state().dtype == torch.float64


def test_loading_replaces_what_was_there():
    mean = Mean()
    mean.update(torch.tensor(9.0), 1)
    mean.load(torch.tensor([4.0, 2.0], dtype=torch.float64))
    assert mean.compute() == 2.0


def test_values_keep_no_graph_alive():
    mean = Mean()
    loss = torch.ones((), requires_grad=True) * 2
    mean.update(loss, 1)
    assert not mean.state().requires_grad


def test_empty_mean_is_not_a_number():
    assert math.isnan(Mean().compute())

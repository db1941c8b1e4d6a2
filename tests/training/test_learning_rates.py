from functools import partial

import pytest
import torch
from torch import nn

from runner.training.learning_rates import learning_rates

SGD = partial(torch.optim.SGD, lr=0.1)


def optimizer(*groups):
    return SGD([{"params": [nn.Parameter(torch.zeros(1))], **group} for group in groups])


@pytest.mark.parametrize("groups", [[{}], [{"weight_decay": 0.1}, {"weight_decay": 0.0}]])
def test_one_rate_is_called_lr(groups):
    assert learning_rates(optimizer(*groups)) == {"lr": 0.1}


def test_groups_with_rates_of_their_own_are_told_by_name_or_number():
    several = optimizer({"name": "head"}, {"lr": 0.01})
    assert learning_rates(several) == {"lr": 0.1, "lr.head": 0.1, "lr.1": 0.01}


def test_a_schedule_that_makes_rates_equal_does_not_change_the_names():
    several = optimizer({}, {"lr": 0.01})
    schedule = torch.optim.lr_scheduler.LambdaLR(several, lambda step: 0.0)
    assert learning_rates(several) == {"lr": 0.0, "lr.0": 0.0, "lr.1": 0.0}
    assert schedule.get_last_lr() == [0.0, 0.0]

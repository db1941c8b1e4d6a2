import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler

from runner.optim.schedules import (
    constant_with_warmup,
    cosine_with_warmup,
    inverse_square_root,
    linear_with_warmup,
    polynomial_with_warmup,
)


def rates(total_steps: int, **options: float) -> list[float]:
    return rates_of(cosine_with_warmup, total_steps, total_steps=total_steps, **options)


def rates_of(factory: Callable[..., LRScheduler], num_steps: int, **options: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = factory(optimizer, **options)
    seen = []
    for _ in range(num_steps):
        seen.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return seen


def test_it_rises_to_the_learning_rate_and_falls_to_the_final_factor() -> None:
    seen = rates(100, warmup=0.1, final_factor=0.01)
    assert max(seen) == seen[10] == 2.0
    assert seen[:10] == sorted(seen[:10])
    assert seen[10:] == sorted(seen[10:], reverse=True)
    assert seen[0] > 0
    assert seen[-1] == pytest.approx(0.02)


def test_without_warmup_it_begins_at_the_top() -> None:
    assert rates(10, warmup=0.0)[0] == 2.0


@pytest.mark.parametrize("options", [{"warmup": 1.0}, {"final_factor": 2.0}])
def test_fractions_outside_their_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="warmup|final_factor"):
        rates(10, **options)


def test_its_state_is_plain() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    state = cosine_with_warmup(optimizer, total_steps=9).state_dict()
    torch.save(state, buffer := io.BytesIO())
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True).keys() == state.keys()


def test_a_straight_line_down_ends_at_the_final_factor() -> None:
    seen = rates_of(linear_with_warmup, 11, total_steps=11, warmup=0.0, final_factor=0.1)
    assert seen == pytest.approx([2.0 * (0.1 + 0.9 * left / 10) for left in range(10, -1, -1)])


def test_a_polynomial_rises_and_falls_by_its_power() -> None:
    seen = rates_of(polynomial_with_warmup, 10, total_steps=10, warmup=0.2, power=3.0)
    assert seen[:3] == pytest.approx([2 / 3, 4 / 3, 2.0])
    assert seen[3:] == pytest.approx([2.0 * (left / 7) ** 3 for left in range(6, -1, -1)])


def test_after_its_warm_up_a_constant_stays() -> None:
    assert rates_of(constant_with_warmup, 6, warmup_steps=3) == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_the_inverse_square_root_halves_with_four_times_the_steps() -> None:
    seen = rates_of(inverse_square_root, 50, warmup_steps=10)
    assert max(seen) == seen[10] == 2.0
    assert seen[40] == pytest.approx(1.0)


@pytest.mark.parametrize("factory", [constant_with_warmup, inverse_square_root])
def test_a_warm_up_of_no_step_is_refused(factory: Callable[..., LRScheduler]) -> None:
    with pytest.raises(ValueError, match="warmup_steps must be >= 1"):
        rates_of(factory, 5, warmup_steps=0)

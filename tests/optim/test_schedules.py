import io

import pytest
import torch

from runner.optim.schedules import cosine_with_warmup


def rates(total_steps: int, **options: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = cosine_with_warmup(optimizer, total_steps=total_steps, **options)
    seen = []
    for _ in range(total_steps):
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

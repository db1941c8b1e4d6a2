"""Learning-rate schedules that torch does not have in one piece."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def cosine_with_warmup(
    optimizer: Optimizer, *, total_steps: int, warmup: float = 0.05, final_factor: float = 0.0
) -> LambdaLR:
    """Return a schedule that rises linearly over `warmup`, a fraction of `total_steps`, then falls.

    The fall is half a cosine, down to `final_factor` times the optimizer's learning rate
    (Loshchilov and Hutter 2017, "SGDR", without restarts).
    """
    _check_fractions(warmup, final_factor)
    return LambdaLR(optimizer, _Cosine(total_steps, round(warmup * total_steps), final_factor))


class _Cosine:
    """Callable: the factor at a step. An object, since LambdaLR saves the plan of objects alone."""

    def __init__(self, total_steps: int, warmup_steps: int, final_factor: float) -> None:
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.final_factor = final_factor

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        fall = max(1, self.total_steps - 1 - self.warmup_steps)
        progress = min(1.0, (step - self.warmup_steps) / fall)
        return self.final_factor + (1 - self.final_factor) * (1 + math.cos(math.pi * progress)) / 2


def linear_with_warmup(
    optimizer: Optimizer, *, total_steps: int, warmup: float = 0.05, final_factor: float = 0.0
) -> LambdaLR:
    """Return a schedule that rises linearly over `warmup`, then falls linearly.

    As `cosine_with_warmup` with a straight line down to `final_factor`.
    """
    return polynomial_with_warmup(
        optimizer, total_steps=total_steps, warmup=warmup, final_factor=final_factor, power=1.0
    )


def polynomial_with_warmup(
    optimizer: Optimizer,
    *,
    total_steps: int,
    warmup: float = 0.05,
    final_factor: float = 0.0,
    power: float = 2.0,
) -> LambdaLR:
    """Return a schedule that rises linearly over `warmup`, then falls as (1 - progress) ** power.

    `warmup` is a fraction of `total_steps`; the fall ends at `final_factor` times the optimizer's
    learning rate.
    """
    _check_fractions(warmup, final_factor)
    if not power > 0:
        raise ValueError(f"power must be > 0, got {power}")
    warmup_steps = round(warmup * total_steps)
    return LambdaLR(optimizer, _Polynomial(total_steps, warmup_steps, final_factor, power))


def constant_with_warmup(optimizer: Optimizer, *, warmup_steps: int = 500) -> LambdaLR:
    """Return a schedule that rises linearly over `warmup_steps`, and stays there."""
    return LambdaLR(optimizer, _Constant(_checked_steps(warmup_steps)))


def inverse_square_root(optimizer: Optimizer, *, warmup_steps: int = 500) -> LambdaLR:
    """Return a schedule that rises linearly over `warmup_steps`, then falls as 1 / sqrt(step).

    After Vaswani et al. 2017, "Attention is all you need".
    """
    return LambdaLR(optimizer, _InverseSquareRoot(_checked_steps(warmup_steps)))


def _check_fractions(warmup: float, final_factor: float) -> None:
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup is a fraction of all steps, 0 <= warmup < 1, got {warmup}")
    if not 0 <= final_factor <= 1:
        raise ValueError(f"final_factor must be between 0 and 1, got {final_factor}")


def _checked_steps(warmup_steps: int) -> int:
    if warmup_steps < 1:
        raise ValueError(f"warmup_steps must be >= 1, got {warmup_steps}")
    return warmup_steps


class _Polynomial:
    def __init__(
        self, total_steps: int, warmup_steps: int, final_factor: float, power: float
    ) -> None:
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.final_factor = final_factor
        self.power = power

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        fall = max(1, self.total_steps - 1 - self.warmup_steps)
        left = 1 - min(1.0, (step - self.warmup_steps) / fall)
        return self.final_factor + (1 - self.final_factor) * left**self.power


class _Constant:
    def __init__(self, warmup_steps: int) -> None:
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        return min(1.0, (step + 1) / (self.warmup_steps + 1))


class _InverseSquareRoot:
    def __init__(self, warmup_steps: int) -> None:
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        return math.sqrt(self.warmup_steps / max(1, step))

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
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup is a fraction of all steps, 0 <= warmup < 1, got {warmup}")
    if not 0 <= final_factor <= 1:
        raise ValueError(f"final_factor must be between 0 and 1, got {final_factor}")
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

"""What tells the norm of the gradients before an update, and clips them where that is asked for."""

import math
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from runner.config.options import TrainerOptions
from runner.runtime.sharding import clip_gradients, gradient_norm

GradientNorm = Callable[[list[nn.Parameter]], Tensor]


def norm_for(trainer: TrainerOptions, *, is_needed: bool = False) -> GradientNorm | None:
    """Return what is asked for by `trainer`; None: nobody asks. `is_needed`: somebody else does."""
    if trainer.max_grad_norm is not None or is_needed:
        largest = math.inf if trainer.max_grad_norm is None else trainer.max_grad_norm
        return partial(clip_gradients, max_norm=largest)
    return gradient_norm if trainer.log_grad_norm else None

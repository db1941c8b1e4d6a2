"""In which number format a run computes: autocast, gradient scaling and TF32."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch.amp.grad_scaler import GradScaler

from runner.config.options import PrecisionOptions

_log = logging.getLogger(__name__)

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """The contexts and the scaler of one number format on one device.

    `autocast()` gives the context of a forward pass, `update()` that of an update of weights inside
    of it. `scaler` keeps small fp16 gradients from
    vanishing (Micikevicius et al. 2018, "Mixed Precision Training") and does nothing in the other
    formats.
    """

    def __init__(self, options: PrecisionOptions, device: torch.device) -> None:
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = options.tf32
            torch.backends.cudnn.allow_tf32 = options.tf32
        elif options.tf32:
            _log.warning("precision.tf32 has no effect on %s: only NVIDIA GPUs have it", device)
        self.autocast: Callable[[], AbstractContextManager[object]] = nullcontext
        self.update: Callable[[], AbstractContextManager[object]] = nullcontext
        if options.autocast is not None:
            self.update = partial(_update, device.type)
            dtype = DTYPES[options.autocast]
            self.autocast = partial(torch.autocast, device.type, dtype=dtype)
        self.scaler = GradScaler(device.type, enabled=options.autocast == "fp16")


@contextmanager
def _update(device_type: str) -> Iterator[None]:
    with torch.autocast(device_type, enabled=False):
        yield
    torch.clear_autocast_cache()  # it holds the weights as they were before

"""What to do about a loss or a gradient that is no finite number."""

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from runner.errors import ConfigError
from runner.runtime.ranks import Ranks


class SkipNonfinite:
    """Lets an update happen only with finite gradients (`trainer.on_nonfinite=skip`).

    On a GPU the optimizer itself decides there, as it does for fp16 (`found_inf`), since reading
    the norm would make the host wait: only fused optimizers can.
    """

    def __init__(self, optimizer: Optimizer, device: torch.device) -> None:
        self._optimizer = optimizer
        self._is_read = device.type == "cpu"
        if not self._is_read and not optimizer.defaults.get("fused"):
            raise ConfigError(
                f"trainer.on_nonfinite=skip on {device.type} needs an optimizer that skips there: "
                "set optimizer.fused=true (adam, adamw, sgd), or use rollback"
            )

    def allows(self, is_bad: Tensor) -> bool:
        """Return whether the host should go on with the update; `is_bad` is 1 or 0."""
        if self._is_read:
            return not is_bad.item()
        self._optimizer.found_inf = is_bad  # type: ignore[attr-defined]
        return True


def is_finite(values: dict[str, float], model: nn.Module, ranks: Ranks) -> bool:
    """Return whether the mean loss and all parameters are numbers, on all ranks; waits."""
    bad = not math.isfinite(values.get("loss", 0.0)) or not _has_finite_parameters(model)
    return not ranks.largest(torch.tensor([float(bad)])).item()


@torch.no_grad()
def _has_finite_parameters(model: nn.Module) -> bool:
    parameters = [_local(p) for p in model.parameters() if p.is_floating_point()]
    if not parameters:
        return True
    norms = torch._foreach_norm(parameters)  # type: ignore[attr-defined]
    return bool(torch.stack([norm.float() for norm in norms]).isfinite().all())


def _local(parameter: Tensor) -> Tensor:
    """Return this rank's part of a parameter that is spread over the ranks."""
    return parameter.to_local() if hasattr(parameter, "to_local") else parameter  # type: ignore[no-any-return]

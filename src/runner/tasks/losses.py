"""Losses by name, and what they give for samples that count unequally."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from runner.errors import ConfigError, DataError, did_you_mean

LossFunction = Callable[
    [Any, Any], Tensor
]  # (output, target) -> their mean, or one for each sample

OF_CLASSES: dict[str, type[nn.Module]] = {  # outputs (batch, classes), targets class numbers
    "cross_entropy": nn.CrossEntropyLoss,
    "nll": nn.NLLLoss,
    "multi_margin": nn.MultiMarginLoss,
}
OF_NUMBERS: dict[str, type[nn.Module]] = {  # outputs and targets of one shape
    "mse": nn.MSELoss,
    "l1": nn.L1Loss,
    "huber": nn.HuberLoss,
    "smooth_l1": nn.SmoothL1Loss,
    "bce": nn.BCELoss,
    "bce_with_logits": nn.BCEWithLogitsLoss,
    "soft_margin": nn.SoftMarginLoss,
    "multilabel_soft_margin": nn.MultiLabelSoftMarginLoss,
    "hinge_embedding": nn.HingeEmbeddingLoss,
    "poisson_nll": nn.PoissonNLLLoss,
    "kl_div": nn.KLDivLoss,
}
LOSSES = OF_CLASSES | OF_NUMBERS
_COUNTING = ("cross_entropy", "nll")  # whose mean is over targets that count, not over samples
_BY_CLASS_NAME = {kind.__name__: name for name, kind in LOSSES.items()}  # torch's own names


class Loss:
    """Callable: the mean loss of a batch, weighted if its samples are.

    `loss` is one of `LOSSES` ("huber", or "HuberLoss" as torch calls it), a mapping of one name to
    arguments ({"huber": {"delta": 0.5}}), a loss of torch, or any function of (output, target) that
    returns the mean over the batch or one value for each sample. Raises ConfigError for others.
    """

    def __init__(self, loss: str | Mapping[str, Any] | LossFunction) -> None:
        self.name, self._function = _read(loss)
        if getattr(self._function, "reduction", "mean") != "mean":
            raise ConfigError(
                f"task.loss: {type(self._function).__name__} has a reduction of its own: leave it "
                "out, the mean is taken over the targets"
            )
        if _is_trainable(self._function):
            raise ConfigError(
                f"task.loss: {type(self._function).__name__} has parameters of its own, which "
                "nothing would train or save: make it a part of the model and write a task (or "
                "freeze them by requires_grad_(False))"
            )
        self._each = _unreduced(self._function)
        counting = self.name in _COUNTING
        self._class_weights = getattr(self._function, "weight", None) if counting else None
        self._ignored: int | None = (
            getattr(self._function, "ignore_index", -100) if counting else None
        )
        self._modules = [f for f in (self._function, self._each) if _has_tensors(f)]

    def __call__(self, output: Any, target: Any, weight: Tensor | None = None) -> Tensor:
        """Return the mean loss; `weight` (batch,) says how much each sample counts."""
        for module in self._modules:  # class weights follow the output to its device
            module.to(output.device)
        output, target = self._aligned(output, target)
        if weight is None:
            value = self._function(output, target)
            return value if value.dim() == 0 else value.mean()
        return _weighted(self._each(output, target), weight.flatten(), self._counted(target))

    def counts(self, target: Tensor, weight: Tensor | None = None) -> list[float] | None:
        """Return how much each sample counts in the mean; None: one a sample.

        Of class numbers (batch, ...) on the host: those of `ignore_index` do not count, and others
        by the weight of their class, as torch takes its mean; times the `weight` of the sample.
        """
        if weight is not None:
            counted = self._counted(target)
            flat = weight.flatten()
            return (flat if counted is None else flat * counted).tolist()
        if target.dim() < 2 and self._class_weights is None and not self._ignores_in(target):
            return None
        counted = self._counted(target)
        return None if counted is None else counted.tolist()

    def without_ignored(self, output: Any, target: Tensor) -> tuple[Any, Tensor]:
        """Return what metrics compare: if some targets are of `ignore_index`, the others alone."""
        if not isinstance(output, Tensor) or output.dim() != target.dim() + 1:
            return output, target
        if not self._ignores_in(target):
            return output, target
        counts = target != self._ignored
        return output.movedim(1, -1)[counts], target[counts]

    def _ignores_in(self, target: Tensor) -> bool:
        if self._ignored is None or target.is_floating_point():
            return False
        return bool((target == self._ignored).any())

    def _counted(self, target: Tensor) -> Tensor | None:
        """Return how much the targets of each sample count, (batch,); None: one a sample."""
        if self._ignored is None or target.is_floating_point():  # those are probabilities
            return None
        flat = target.reshape(len(target), -1)
        counted = (flat != self._ignored).float()
        weights = self._class_weights
        if weights is not None:  # a class that is not there is told by the loss itself
            counted *= weights.to(flat.device)[flat.clamp(0, len(weights) - 1)]
        return counted.sum(dim=1)

    def _aligned(self, output: Any, target: Any) -> tuple[Any, Any]:
        """Give numbers one shape and type; never spread them over one another, as torch would."""
        if isinstance(output, Tensor) and output.dtype in (torch.float16, torch.bfloat16):
            output = output.float()
        if self.name not in OF_NUMBERS:
            return output, target
        if output.shape not in (target.shape, (*target.shape, 1)):
            raise DataError(
                f"task.loss={self.name}: the model gives {tuple(output.shape)} and the targets are "
                f"{tuple(target.shape)}: they are compared one by one and need one shape"
            )
        return output.reshape(target.shape), target.to(output.dtype)


def _has_tensors(function: LossFunction) -> TypeGuard[nn.Module]:
    return isinstance(function, nn.Module) and bool(function.state_dict())


def _is_trainable(function: LossFunction) -> bool:
    return isinstance(function, nn.Module) and any(p.requires_grad for p in function.parameters())


def nothing(output: Tensor) -> Tensor:
    """Return the loss of a batch of which no target counts, where a mean is no number: zero."""
    return torch.nan_to_num(output).sum() * 0.0


def weighted_mean(losses: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of `losses` (batch,), each counted by its weight; 0 if none counts."""
    return (losses * weight).sum() / _divisor(weight)


def _divisor(weight: Tensor) -> Tensor:
    total = weight.sum()
    return torch.where(total > 0, total, torch.ones_like(total))


def _weighted(losses: Tensor, weight: Tensor, counted: Tensor | None) -> Tensor:
    if losses.dim() == 0:
        raise ConfigError(
            "task.loss returns the mean of a batch, and its samples have weights: let it return a "
            "loss for each sample, or leave the weights out of the data"
        )
    each = losses.reshape(len(weight), -1)
    if counted is None:
        return weighted_mean(each.mean(dim=1), weight)
    return (each.sum(dim=1) * weight).sum() / _divisor(weight * counted)  # as torch weighs classes


def _read(loss: str | Mapping[str, Any] | LossFunction) -> tuple[str | None, LossFunction]:
    if isinstance(loss, str):
        name = _known(loss)
        return name, LOSSES[name]()
    if isinstance(loss, Mapping):
        if len(loss) != 1:
            raise ConfigError(
                f"task.loss must be a name, or one name with its arguments, got {loss}"
            )
        ((written, arguments),) = loss.items()
        name = _known(written)
        try:
            return name, LOSSES[name](**_with_tensors(arguments or {}))
        except TypeError as error:
            raise ConfigError(f"task.loss.{written}: {error}") from error
    if isinstance(loss, type):
        raise ConfigError(f"task.loss: a class was given; make one: {loss.__name__}()")
    if not callable(loss):
        raise ConfigError(f"task.loss must be a name or a function (output, target), got {loss!r}")
    return _BY_CLASS_NAME.get(type(loss).__name__), loss


def _with_tensors(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return `arguments` with the weights of classes, lists in a config, as torch wants them."""
    return {
        key: torch.tensor(value) if key in ("weight", "pos_weight") else value
        for key, value in arguments.items()
    }


def _known(name: str) -> str:
    name = _BY_CLASS_NAME.get(name, name)
    if name not in LOSSES:
        raise ConfigError(
            f"task.loss: there is no loss '{name}'{did_you_mean(name, LOSSES)} (there are "
            f"{', '.join(LOSSES)}; or give a function, in a config by `_target_`)"
        )
    return name


def _unreduced(function: LossFunction) -> LossFunction:
    """Return `function` so that it gives a loss for each sample, as far as it can be told to."""
    if not hasattr(function, "reduction"):
        return function
    each = copy.copy(function)
    each.reduction = "none"  # type: ignore[attr-defined]
    return each

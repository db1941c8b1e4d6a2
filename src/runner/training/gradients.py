"""Add up the gradients of all ranks while backward is still going on.

Not torch's DistributedDataParallel, for two reasons. It lays its buckets out anew after the first
step of a job, so that a resumed run would add the gradients of more than two ranks in another order
than the straight one. And it replaces the model, while a task may call any method of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch import distributed as dist

from runner.runtime.ranks import Ranks
from runner.runtime.sharding import is_sharded, set_gradient_sync

BUCKET_BYTES = 25_000_000  # so much travels while the next is being computed


@dataclass(eq=False)
class _Bucket:
    """Parameters whose gradients travel together."""

    parameters: list[nn.Parameter] = field(default_factory=list)
    num_bytes: int = 0
    num_missing: int = 0  # parameters without a gradient of the running backward
    flat: Tensor | None = None
    work: dist.Work | None = None


class Gradients(Protocol):
    """How the gradients of a step come together over the ranks.

    `begin` is called before the last backward of a step (not where a rank has no part in it),
    `finish` after it: it returns by what the gradients in `.grad` are to be divided.
    """

    needs_every_rank: bool  # whether a rank without samples has to compute as well

    def begin(self) -> None: ...

    def finish(self, num_targets: float) -> float: ...


def gradient_sum(model: nn.Module, ranks: Ranks) -> Gradients:
    """Return what brings the gradients of `model` together over `ranks`."""
    if not ranks.are_several:
        return OwnGradients()
    if is_sharded(model):
        return ShardedGradients(model, ranks)
    return GradientSum([p for p in model.parameters() if p.requires_grad], ranks)


class OwnGradients:
    """The gradients of one process, as they are."""

    needs_every_rank = False

    def begin(self) -> None: ...

    def finish(self, num_targets: float) -> float:
        return num_targets


class ShardedGradients:
    """Leaves the work to FSDP2, which takes the mean over the ranks in backward itself."""

    needs_every_rank = True

    def __init__(self, model: nn.Module, ranks: Ranks) -> None:
        self._model = model
        self._ranks = ranks
        set_gradient_sync(model, enabled=False)

    def begin(self) -> None:
        set_gradient_sync(self._model, enabled=True)

    def finish(self, num_targets: float) -> float:
        set_gradient_sync(self._model, enabled=False)
        total = self._ranks.sum(torch.tensor([num_targets], dtype=torch.float64)).item()
        return total / self._ranks.count


class GradientSum:
    """Sums the gradients over the ranks; the layout depends on the model alone."""

    needs_every_rank = False

    def __init__(self, parameters: Iterable[nn.Parameter], ranks: Ranks) -> None:
        self._ranks = ranks
        self._buckets = _buckets(parameters)
        self._is_open = False
        self._next = 0  # buckets travel in one order, whatever is ready first
        for bucket in self._buckets:
            for parameter in bucket.parameters:
                parameter.register_post_accumulate_grad_hook(
                    lambda _, bucket=bucket: self._is_ready(bucket)
                )

    def begin(self) -> None:
        """Let the gradients of the backward that follows travel as soon as they are there."""
        self._is_open = True
        for bucket in self._buckets:
            bucket.num_missing = len(bucket.parameters)

    def finish(self, num_targets: float) -> float:
        """Leave the sums over the ranks in `.grad`; return that of `num_targets`, their divisor.

        A parameter that no rank has used keeps no gradient, as in one process.
        """
        self._is_open = False
        while self._next < len(self._buckets):
            self._send()
        parameters = [p for bucket in self._buckets for p in bucket.parameters]
        unused = [parameter.grad is None for parameter in parameters]
        total, any_unused = self._ranks.sum(
            torch.tensor([num_targets, any(unused)], dtype=torch.float64)
        ).tolist()
        everywhere = [False] * len(parameters)
        if any_unused:
            sums = self._ranks.sum(torch.tensor(unused, dtype=torch.float64))
            everywhere = (sums == self._ranks.count).tolist()
        skipped = {p for p, is_unused in zip(parameters, everywhere, strict=True) if is_unused}
        for bucket in self._buckets:
            _receive(bucket, skipped)
        self._next = 0
        return total

    def _is_ready(self, bucket: _Bucket) -> None:
        if not self._is_open:
            return
        bucket.num_missing -= 1
        while self._next < len(self._buckets) and self._buckets[self._next].num_missing == 0:
            self._send()

    def _send(self) -> None:
        bucket = self._buckets[self._next]
        self._next += 1
        bucket.flat = torch.cat([_flat_gradient(p) for p in bucket.parameters])
        bucket.work = dist.all_reduce(bucket.flat, group=self._ranks.device_group, async_op=True)


def _buckets(parameters: Iterable[nn.Parameter]) -> list[_Bucket]:
    """Fill buckets from the last parameter on, whose gradient comes first."""
    buckets: list[_Bucket] = []
    for parameter in reversed(list(parameters)):
        size = parameter.numel() * parameter.element_size()
        last = buckets[-1] if buckets else None
        if (
            last is None
            or last.num_bytes + size > BUCKET_BYTES
            or last.parameters[0].dtype != parameter.dtype
        ):
            last = _Bucket()
            buckets.append(last)
        last.parameters.append(parameter)
        last.num_bytes += size
    return buckets


def _flat_gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        return torch.zeros(parameter.numel(), dtype=parameter.dtype, device=parameter.device)
    return parameter.grad.reshape(-1)


def _receive(bucket: _Bucket, skipped: set[nn.Parameter]) -> None:
    assert bucket.work is not None
    assert bucket.flat is not None
    bucket.work.wait()  # on a GPU its stream waits, not this thread
    sums = bucket.flat.split([p.numel() for p in bucket.parameters])
    for parameter, total in zip(bucket.parameters, sums, strict=True):
        if parameter in skipped:
            continue
        if parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)
        parameter.grad.copy_(total.view(parameter.shape))
    bucket.flat = bucket.work = None

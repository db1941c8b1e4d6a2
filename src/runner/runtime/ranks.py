"""The ranks that train one run together, and what they tell one another.

Every rank computes, rank 0 writes. A collective runs on all ranks or on none; all those here are
about small things on the host, over gloo. Gradients and parameters go through `Ranks.device_group`.
"""

import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, ProcessGroup

from runner.runtime.launch import Launch
from runner.runtime.rendezvous import (
    Failure,
    FailureReports,
    failure_of,
    open_run,
    wait_for_all,
)
from runner.runtime.signals import StopRequests

_LEAVING_SECONDS = 0.05
_ENDLESS = 7 * 24 * 3600.0
# A rank that ended tells why before it leaves; of one that was killed its supervisor tells.
_REPORT_SECONDS = 5.0


@dataclass(eq=False)
class Ranks:
    """One process among `count` ranks; alone, everything it does is nothing."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    reports: FailureReports | None = None
    device_group: ProcessGroup | None = None
    saving_group: ProcessGroup | None = None  # for the thread that writes checkpoints alone

    @property
    def is_main(self) -> bool:
        """Return whether this is rank 0, the one that writes."""
        return self.rank == 0

    @property
    def are_several(self) -> bool:
        return self.count > 1

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over the ranks of a tensor on the CPU, in place."""
        if self.are_several:
            dist.all_reduce(values)
        return values

    def largest(self, values: Tensor) -> Tensor:
        """Return the largest over the ranks of each value of a tensor on the CPU, in place."""
        if self.are_several:
            dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return values

    def share(self, value: Any) -> Any:
        """Return what rank 0 gave as `value` (anything picklable) on every rank."""
        if not self.are_several:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """Return the `value` of every rank (anything picklable), on every rank, in their order."""
        if not self.are_several:
            return [value]
        gathered: list[Any] = [None] * self.count
        dist.all_gather_object(gathered, value)
        return gathered

    def meet(self) -> None:
        """Wait until all ranks are here."""
        if self.are_several:
            dist.barrier()

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Give all ranks the values that rank 0 has in `tensors`."""
        if self.are_several:
            for tensor in tensors:
                values = tensor.contiguous()
                dist.broadcast(values, src=0)
                if values is not tensor:
                    tensor.copy_(values)

    def leave(self) -> None:
        """Leave the groups, and end their threads here.

        A thread that has just finished a collective takes Python's lock to give back its tensors;
        in the middle of the interpreter's end that would abort the process.
        """
        saving_group, self.saving_group, self.device_group = self.saving_group, None, None
        if saving_group is not None:
            dist.destroy_process_group(saving_group)
        dist.destroy_process_group()
        del saving_group
        gc.collect()  # the groups wait for their threads when they go
        time.sleep(_LEAVING_SECONDS)  # a sharded model may still hold one: let its threads be done

    def report_failure(self, error: Exception) -> None:
        """Tell the others why this rank ends; the first report stands."""
        if self.reports is not None:
            self.reports.report(failure_of(self.rank, error))

    def failure(self) -> Failure | None:
        """Return which rank failed first and why, if any has told."""
        return self.reports.first() if self.reports is not None else None

    def failure_behind(self, error: Exception) -> Failure | None:
        """Return what failed on another rank and led to `error` here, if that is how it came.

        A collective fails when another rank has left it; why that one left is known soon after.
        """
        if self.reports is None or not tells_of_another_rank(error):
            return None
        first = self.reports.wait_for_first(_REPORT_SECONDS)
        return first if first is not None and first.rank != self.rank else None


ALONE = Ranks()


@contextmanager
def joined(
    launch: Launch | None,
    *,
    device: torch.device,
    timeout_seconds: float | None,
    stop: StopRequests | None = None,
) -> Iterator[Ranks]:
    """Meet the other ranks of `launch`, and leave them at the end.

    A collective that some rank does not join within `timeout_seconds` raises on the others.
    Raises RunError when a rank failed before all had met, Interrupted when `stop` was asked for.
    """
    if launch is None:
        yield ALONE
        return
    store, reports = open_run(launch)
    wait_for_all(store, reports, launch, stop)
    timeout = timedelta(seconds=timeout_seconds or _ENDLESS)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        store=PrefixStore("group", store),
        rank=launch.rank,
        world_size=launch.count,
        timeout=timeout,
        device_id=device if device.type == "cuda" else None,
    )
    ranks = Ranks(
        rank=launch.rank,
        count=launch.count,
        local_rank=launch.local_rank,
        reports=reports,
        device_group=dist.group.WORLD,
    )
    try:
        saving_group = dist.new_group(backend="gloo", timeout=timeout)
        assert isinstance(saving_group, ProcessGroup)
        ranks.saving_group = saving_group
        del saving_group
        yield ranks
    finally:
        ranks.leave()


def tells_of_another_rank(error: BaseException | None) -> bool:
    """Return whether `error`, or what led to it, is a collective that another rank left."""
    while error is not None:
        words = str(error).lower()
        if isinstance(error, dist.DistError):
            return True
        if isinstance(error, RuntimeError) and ("gloo" in words or "nccl" in words):
            return True
        error = error.__cause__ or error.__context__
    return False

"""The ranks that train one run together, and what they tell one another.

Every rank computes, rank 0 writes. A collective runs on all ranks or on none; all those here are
about small things on the host, over gloo. Gradients and parameters go through `Ranks.device_group`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, ProcessGroup, Store, TCPStore

from runner.runtime.launch import Launch

_FAILURE = "runner/failure"


@dataclass(frozen=True)
class Ranks:
    """One process among `count` ranks; alone, everything it does is nothing."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    store: Store | None = None
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

    def report_failure(self, error: str) -> None:
        """Tell the others why this rank ends; the first report stands."""
        if self.store is not None:
            report = json.dumps({"rank": self.rank, "error": error})
            self.store.compare_set(_FAILURE, "", report)

    def failure(self) -> tuple[int, str] | None:
        """Return the rank that failed first and why, if any has told."""
        if self.store is None or not self.store.check([_FAILURE]):
            return None
        report = json.loads(self.store.get(_FAILURE))
        return report["rank"], report["error"]


ALONE = Ranks()


@contextmanager
def joined(
    launch: Launch | None, *, device: torch.device, timeout_seconds: float | None
) -> Iterator[Ranks]:
    """Meet the other ranks of `launch`, and leave them at the end.

    A collective that some rank does not join within `timeout_seconds` raises on the others.
    """
    if launch is None:
        yield ALONE
        return
    timeout = timedelta(seconds=timeout_seconds or 7 * 24 * 3600)
    store = TCPStore(
        launch.host,
        launch.port,
        world_size=launch.count,
        is_master=launch.hosts_store and launch.rank == 0,
        timeout=timeout,
        multi_tenant=True,
    )
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(
        backend,
        store=PrefixStore("runner", store),
        rank=launch.rank,
        world_size=launch.count,
        timeout=timeout,
        device_id=device if device.type == "cuda" else None,
    )
    try:
        saving_group = dist.new_group(backend="gloo", timeout=timeout)
        assert isinstance(saving_group, ProcessGroup)
        yield Ranks(
            rank=launch.rank,
            count=launch.count,
            local_rank=launch.local_rank,
            store=store,
            device_group=dist.group.WORLD,
            saving_group=saving_group,
        )
    finally:
        dist.destroy_process_group()

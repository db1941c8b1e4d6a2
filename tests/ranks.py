"""Start a few ranks on gloo and bring back what each of them returns."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch import multiprocessing

from runner.runtime.ranks import Ranks

Worker = Callable[[Ranks, Path], dict[str, Any]]


def results_of(worker: Worker, *, count: int, folder: Path) -> list[dict[str, Any]]:
    """Run `worker` as each of `count` ranks and return what they returned, in their order.

    A new process takes seconds: start few, and let each do much.
    """
    multiprocessing.spawn(_rank, (worker, count, folder), nprocs=count)
    return [torch.load(_file(folder, rank), weights_only=False) for rank in range(count)]


def subset(ranks: Ranks, count: int) -> Ranks | None:
    """Return the first `count` ranks as a group of their own; None outside it. All call this."""
    group = dist.new_group(list(range(count)), backend="gloo")
    saving = dist.new_group(list(range(count)), backend="gloo")
    if ranks.rank >= count:
        return None
    return Ranks(rank=ranks.rank, count=count, device_group=group, saving_group=saving)


def _rank(rank: int, worker: Worker, count: int, folder: Path) -> None:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), count)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=count)
    saving = dist.new_group(backend="gloo")
    ranks = Ranks(rank=rank, count=count, device_group=dist.group.WORLD, saving_group=saving)
    del saving
    torch.save(worker(ranks, folder), _file(folder, rank))
    dist.barrier()
    ranks.leave()


def _file(folder: Path, rank: int) -> Path:
    return folder / f"result_{rank}.pt"

"""Smaller micro-batches after running out of memory: the same step in more pieces."""

import logging
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from runner.data.data import Batch
from runner.errors import CheckpointError, RunError
from runner.protocols import check_state_keys
from runner.runtime.ranks import Ranks

_log = logging.getLogger(__name__)

_WORDS_ON_THE_CPU = ("can't allocate memory", "not enough memory")


class Splitting:
    """In how many pieces each micro-batch is computed; doubled when memory runs out.

    The gradient is that of the whole micro-batch, but for layers that look at other samples (batch
    norm) and dropout. The number is part of every checkpoint: a resumed run does the same.
    """

    def __init__(self, *, is_possible: bool = True) -> None:
        self._is_possible = is_possible
        self.num_pieces = 1

    def pieces(self, batch: Batch, size: int) -> list[Batch]:
        """Return `batch` of `size` samples in pieces of whole samples."""
        if self.num_pieces == 1:
            return [batch]
        bounds = [size * i // self.num_pieces for i in range(self.num_pieces + 1)]
        return [
            {key: _part(key, value, slice(start, stop), size) for key, value in batch.items()}
            for start, stop in pairwise(bounds)
            if stop > start
        ]

    def grow(self, error: BaseException | None, *, size: int, ranks: Ranks) -> bool:
        """Use more pieces if a rank ran out of memory, and return whether; all ranks call this.

        `size` is that of the largest micro-batch here. Raises RunError when single samples do not
        fit.
        """
        facts = torch.tensor([error is not None, size], dtype=torch.float64)
        is_out, largest = ranks.largest(facts).tolist()
        if not is_out:
            return False
        if self.num_pieces >= largest:
            raise RunError(
                "out of memory with a single sample: use a smaller model, smaller samples or "
                "precision=bf16"
            ) from error
        self.num_pieces *= 2
        _log.warning("out of memory: each micro-batch in %d pieces from now on", self.num_pieces)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"num_pieces": self.num_pieces}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_state_keys("splitting", state, ("num_pieces",))
        if state["num_pieces"] > 1 and not self._is_possible:
            raise CheckpointError(
                "this run computes its micro-batches in pieces since memory ran out, which does "
                "not go with hardware.sharding=fsdp: leave hardware.sharding as it was"
            )
        self.num_pieces = state["num_pieces"]


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether torch raised `error` since it got no memory, on a GPU or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error) for w in _WORDS_ON_THE_CPU)


def _part(key: str, value: Any, part: slice, size: int) -> Any:
    if isinstance(value, Tensor) and value.dim() == 0:
        return value
    if not isinstance(value, Tensor | list):
        return value
    if len(value) != size:
        raise RunError(
            f"trainer.on_out_of_memory=split: batch['{key}'] has {len(value)} rows for {size} "
            "samples and cannot be split: use a smaller data.batch_size with more "
            "trainer.gradient_accumulation_steps instead"
        )
    return value[part]

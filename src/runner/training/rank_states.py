"""What is each rank's own, in a checkpoint: its random generators and its parts with a state.

A run may go on with another number of ranks than the one it was saved with.
"""

import logging
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from runner.checkpoint.store import CheckpointStore
from runner.errors import CheckpointError
from runner.protocols import Stateful, check_state_keys
from runner.runtime.ranks import Ranks
from runner.runtime.seeds import mix, random_state, restore_random_state, seed_everything

_log = logging.getLogger(__name__)


@runtime_checkable
class Mergeable(Protocol):
    """A part whose states of all ranks can be put together when their number changes."""

    def merge_states(self, states: list[dict[str, Any]], /) -> None: ...


def rank_state(parts: Mapping[str, Stateful]) -> dict[str, Any]:
    """Return what this rank alone knows."""
    state = {name: part.state_dict() for name, part in parts.items()}
    return {"random": random_state(), "state": state}


def restore_rank_state(
    parts: Mapping[str, Stateful], store: CheckpointStore, *, step: int, seed: int, ranks: Ranks
) -> None:
    """Give this rank its own state of the checkpoint of `step`.

    With another number of ranks: one that was not there seeds its generators from (seed, step,
    rank), and parts with `merge_states` are handed the states of all.
    """
    num_saved = store.num_ranks(step)
    own = store.read_rank(step, ranks.rank)
    if num_saved != ranks.count and ranks.is_main:
        _log.warning("number of ranks: saved by %d, going on with %d", num_saved, ranks.count)
    if own is not None:
        check_state_keys(f"rank {ranks.rank}", own.get("state", {}), parts)
    for name, part in parts.items():
        if num_saved != ranks.count and isinstance(part, Mergeable):
            part.merge_states([_read(store, step, r)[name] for r in range(num_saved)])
        elif own is not None:
            part.load_state_dict(own["state"][name])
    if own is not None:
        restore_random_state(own["random"])
    else:
        _log.warning("rank %d was not there at step=%d: new random numbers", ranks.rank, step)
        seed_everything(mix(seed, step, ranks.rank) >> 1)


def _read(store: CheckpointStore, step: int, rank: int) -> dict[str, Any]:
    saved = store.read_rank(step, rank)
    if saved is None:
        raise CheckpointError(f"{store.path_of(step)} lacks the state of rank {rank}")
    return saved["state"]

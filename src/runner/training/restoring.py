"""Restore a training from a checkpoint: all of it, its best weights, or a roll-back of its weights.

Rank 0 chooses the checkpoint, which may mean reading all of it, and every rank restores that one.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from runner.checkpoint.store import CheckpointStore
from runner.checkpoint.writer import BackgroundWriter
from runner.errors import CheckpointError
from runner.optim.optimizers import with_settings_of
from runner.protocols import Stateful, check_state_keys
from runner.runtime.ranks import Ranks
from runner.training.best import Best
from runner.training.rank_states import restore_rank_state

CALLBACK_PREFIX = "callbacks."  # of the names of their states
_ROLLED_BACK = ("optimizer", "scaler")  # with the weights; all other state stays

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Restored:
    """The checkpoint that a training goes on from; `anchor` is where it would roll back to."""

    step: int
    evaluations: int
    anchor: int | None


class Restorer:
    """Reads the checkpoints of one training; nothing is being written while it does.

    What it is made of is that of `Saver`. All ranks have one and call its methods together.
    """

    def __init__(
        self,
        store: CheckpointStore,
        *,
        model: nn.Module,
        average: nn.Module | None,
        state: Mapping[str, Stateful],
        rank_state: Mapping[str, Stateful],
        identity: Mapping[str, Any],
        ranks: Ranks,
        beat: Callable[[], None],
    ) -> None:
        self._store = store
        self._model = model
        self._average = average
        self._state = state
        self._rank_state = rank_state
        self._identity = identity
        self._ranks = ranks
        self._beat = beat
        self._reader: BackgroundWriter[int | None] = BackgroundWriter(beat=beat)

    def restore(self) -> Restored | None:
        """Restore the newest valid checkpoint and say which it was; None if there is none."""
        step = self._by_rank_0(self._newest)
        if step is None:
            return None
        training = self._read(step)
        self._check_identity(training.pop("identity"))
        anchor = training.pop("anchor", None)
        self._restore_state(training)
        seed = self._identity.get("seed", 0)
        restore_rank_state(self._rank_state, self._store, step=step, seed=seed, ranks=self._ranks)
        evaluations = training["progress"]["evaluations"]
        return Restored(step=step, evaluations=evaluations, anchor=anchor)

    def restore_best_weights(self, best: Best) -> int | None:
        """Load the weights of the best step that is there into the model, and return it, if any.

        They are the averaged ones if there are any.
        """
        step = self._by_rank_0(lambda: best.best_among(self._store.steps()))
        if step is not None:
            self._store.read_weights(step, self._model)
            self._beat()
        return step

    def roll_back(self, *, to: int | None) -> int | None:
        """Go back to the weights of the checkpoint `to`; return its step, None if it is not whole.

        Weights, averaged weights, optimizer (but not its learning rate and other settings) and
        scaler go back; all other state stays.
        """
        step = self._by_rank_0(lambda: to if self._is_valid(to) else None)
        if step is None:
            return None
        training = self._read(step)
        for name in (name for name in _ROLLED_BACK if name in self._state):
            part, saved = self._state[name], training[name]
            if name == "optimizer":
                saved = with_settings_of(part.state_dict(), saved)
            part.load_state_dict(saved)
        return step

    def _read(self, step: int) -> dict[str, Any]:
        part = self._state.get("optimizer")
        optimizer = part if isinstance(part, Optimizer) else None
        return self._store.read(step, self._model, self._average, optimizer, beat=self._beat)

    def _newest(self) -> int | None:
        step = self._store.newest_valid(beat=self._reader.get_on)
        if step is None and (lost := self._store.folders()):
            raise CheckpointError(
                f"all checkpoints in {self._store.root} are damaged (steps {lost}): "
                "start again in a new directory"
            )
        return step

    def _is_valid(self, step: int | None) -> bool:
        return step is not None and self._store.is_valid(step, beat=self._reader.get_on)

    def _by_rank_0(self, decide: Callable[[], int | None]) -> int | None:
        """Return what rank 0 decides on every rank, or raise its CheckpointError there."""
        step, error = None, None
        if self._ranks.is_main:
            self._reader.start(decide)
        self._reader.wait_together(self._ranks)
        try:
            step = self._reader.take(wait=True)
        except CheckpointError as raised:
            error = str(raised)
        step, error = self._ranks.share((step, error))
        if error is not None:
            raise CheckpointError(error)
        return step

    def _restore_state(self, saved: dict[str, Any]) -> None:
        """Hand each part its state; callbacks may have come and gone, nothing else may."""
        for name in [name for name in saved if _is_callback(name) and name not in self._state]:
            _log.warning("%s is gone: its saved state is left out", name)
            del saved[name]
        check_state_keys(
            "the checkpoint",
            saved,
            [name for name in self._state if name in saved or not _is_callback(name)],
        )
        for name, state in saved.items():
            self._state[name].load_state_dict(state)

    def _check_identity(self, saved: dict[str, Any]) -> None:
        for name, value in self._identity.items():
            if saved.get(name) != value:
                raise CheckpointError(
                    f"the checkpoints in {self._store.root} were made with another {name} "
                    f"({saved.get(name)}, now {value}): bring it back, or start a new run"
                )


def _is_callback(name: str) -> bool:
    return name.startswith(CALLBACK_PREFIX)

"""Save a training and restore it: what is in a checkpoint, and which checkpoints stay."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from runner.checkpoint.retention import steps_to_delete
from runner.checkpoint.store import CheckpointStore, Snapshot
from runner.config.options import CheckpointOptions
from runner.errors import CheckpointError
from runner.protocols import Stateful, check_state_keys
from runner.runtime.seeds import random_state, restore_random_state
from runner.training.best import Best

CALLBACK_PREFIX = "callbacks."  # of the names of their states

_log = logging.getLogger(__name__)


class Saver:
    """Writes and reads the checkpoints of one training.

    `state` names everything Stateful that a restart needs besides weights and random generators;
    `identity` holds what must be the same for a checkpoint to fit (seed, fingerprint of the data).
    """

    def __init__(
        self,
        store: CheckpointStore,
        *,
        model: nn.Module,
        state: Mapping[str, Stateful],
        identity: Mapping[str, Any],
        best: Best,
        options: CheckpointOptions,
        sync_journal: Callable[[], None],
    ) -> None:
        self._sync_journal = sync_journal
        self._store = store
        self._model = model
        self._state = state
        self._identity = dict(identity)
        self._best = best
        self._options = options
        self._saved = (-1, 0)  # (step, evaluations) of the last checkpoint
        self._saved_at = time.monotonic()

    @property
    def seconds_since_save(self) -> float:
        """Return the seconds since the last checkpoint, or since training began."""
        return time.monotonic() - self._saved_at

    def save(self, step: int, *, evaluations: int) -> bool:
        """Commit a checkpoint unless nothing happened since the last; return whether one was.

        A write that fails (disk full) is reported and leaves older checkpoints alone.
        """
        if not self._options.enabled or (step, evaluations) == self._saved:
            return False
        start = time.monotonic()
        try:
            self._sync_journal()  # a checkpoint builds on the rows before it
            self._store.write(step, self._snapshot())
        except OSError as error:
            _log.error("checkpoint failed step=%d: %s; training goes on", step, error)
            return False
        finally:
            self._saved_at = time.monotonic()
        self._saved = (step, evaluations)
        _log.info("saved step=%d seconds=%.2f", step, time.monotonic() - start)
        self._delete_old()
        return True

    def restore(self) -> int | None:
        """Restore the newest valid checkpoint and return its step; None if there is none."""
        step = self._store.newest_valid()
        if step is None:
            if lost := self._store.steps():
                raise CheckpointError(
                    f"all checkpoints in {self._store.root} are damaged (steps {lost}): "
                    "start again in a new directory"
                )
            return None
        snapshot = self._store.read(step, self._model)
        self._check_identity(snapshot.training.pop("identity"))
        self._restore_state(snapshot.training)
        restore_random_state(snapshot.rank["random"])
        self._saved = (step, snapshot.training["progress"]["evaluations"])
        return step

    def restore_best_weights(self) -> int | None:
        """Load the weights of the best step into the model and return it; None if it is gone."""
        if self._best.step is None or self._best.step not in self._store.steps():
            return None
        self._store.read_weights(self._best.step, self._model)
        return self._best.step

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

    def _snapshot(self) -> Snapshot:
        training = {name: part.state_dict() for name, part in self._state.items()}
        return Snapshot(
            weights=self._model.state_dict(),
            training={**training, "identity": self._identity},
            rank={"random": random_state()},
        )

    def _delete_old(self) -> None:
        doomed = steps_to_delete(
            self._store.steps(), keep_last=self._options.keep_last, best=self._best.steps
        )
        for step in doomed:
            self._store.delete(step)

    def _check_identity(self, saved: dict[str, Any]) -> None:
        for name, value in self._identity.items():
            if saved.get(name) != value:
                raise CheckpointError(
                    f"the checkpoints in {self._store.root} were made with another {name} "
                    f"({saved.get(name)}, now {value}): bring it back, or start a new run"
                )


def _is_callback(name: str) -> bool:
    return name.startswith(CALLBACK_PREFIX)

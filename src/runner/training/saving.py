"""Save a training: what is in a checkpoint, and which checkpoints stay.

Saving takes a snapshot between two steps; a thread of its own writes it while training goes on.
What that thread has done is taken note of in the loop's thread, by `committed`, `wait` and the next
`save`.
"""

import logging
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from runner.checkpoint.retention import steps_to_delete
from runner.checkpoint.sharded_writer import writer_for
from runner.checkpoint.snapshot import HostBuffers, Snapshot
from runner.checkpoint.store import CheckpointStore
from runner.checkpoint.writer import BackgroundWriter
from runner.config.options import CheckpointOptions
from runner.errors import RunError
from runner.protocols import Stateful
from runner.runtime.ranks import Ranks
from runner.training.best import Best
from runner.training.rank_states import rank_state
from runner.training.restoring import Restorer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Write:
    """One write: what of, and what came of it."""

    step: int
    evaluations: int
    planned: bool
    blocked: float  # seconds for which training stood still
    seconds: float = 0.0
    error: OSError | None = None


class Saver:
    """Writes and reads the checkpoints of one training; all ranks have one, rank 0's writes.

    `average` is a copy of the model with averaged weights. `state` names everything Stateful that a
    restart needs besides weights and random generators and that is the same on all ranks,
    `rank_state` what is each rank's own; `identity` holds what must be the same for a checkpoint to
    fit (seed, fingerprint of the data).
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
        best: Best,
        options: CheckpointOptions,
        ranks: Ranks,
        sync_journal: Callable[[], None],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._sync_journal = sync_journal
        self._store = store
        self._model = model
        self._average = average
        self._state = state
        self._rank_state = rank_state
        self._identity = dict(identity)
        self._best = best
        self._options = options
        self._ranks = ranks
        self._buffers = HostBuffers()
        self._parts = writer_for(model, state.get("optimizer"), average, ranks=ranks)
        self._restorer = Restorer(
            store,
            model=model,
            average=average,
            state=state,
            rank_state=rank_state,
            identity=self._identity,
            ranks=ranks,
            beat=beat,
        )
        self._writer: BackgroundWriter[_Write | None] = BackgroundWriter(beat=beat)
        self._begun = -1  # the step of what was written last, or is being written
        self._committed: list[int] = []
        self._saved = (-1, 0)  # (step, evaluations) of the last checkpoint; rank 0 knows
        self._anchor: int | None = None  # where to roll back to: the last planned one
        self._saved_at = time.monotonic()

    @property
    def seconds_since_save(self) -> float:
        """Return the seconds since the last checkpoint, or since training began."""
        return time.monotonic() - self._saved_at

    def save(self, step: int, *, evaluations: int, planned: bool = True) -> bool:
        """Begin a checkpoint unless nothing happened since the last; return whether one was begun.

        All ranks call it. One that is still being written is waited for. `planned` is true for one
        that an undisturbed training makes as well: it may be rolled back to.
        """
        if not self._options.enabled:
            return False
        start = time.monotonic()
        self._wait_together()
        if not self._ranks.share(self._saved != (step, evaluations)):
            # Saved by an interruption where a straight run saves by plan: the same checkpoint.
            self._anchor = step if planned else self._anchor
            return False
        own_states = self._ranks.gather(rank_state(self._rank_state))
        self._parts.copy()
        self._begun = step
        if self._parts.is_needed:
            self._join_writing(self._ranks.share(self._store.partial_path(step)))
        if self._ranks.is_main:
            anchor = step if planned else self._anchor
            snapshot = self._snapshot(own_states, anchor)
            best = copy(self._best)  # as it is now, for the thread
            write = _Write(
                step=step,
                evaluations=evaluations,
                planned=planned,
                blocked=time.monotonic() - start,
            )
            self._writer.start(lambda: self._written(write, snapshot, anchor, best))
        self._saved_at = time.monotonic()
        return True

    @property
    def has_saved(self) -> bool:
        """Return whether a checkpoint is there."""
        return bool(self._store.steps())

    @property
    def is_writing(self) -> bool:
        """Return whether a write was begun of which the outcome is not known yet."""
        return self._writer.is_busy or bool(self._committed)

    def committed(self) -> list[int]:
        """Return the steps committed since the last call; a write that failed is logged.

        Only rank 0 hears of them. RunError if what is to be saved cannot be written anywhere.
        """
        self._note(self._taken(wait=False))
        steps, self._committed = self._committed, []
        return steps

    def wait(self) -> None:
        """Wait until nothing is being written by this rank; RunError as in `committed`."""
        self._note(self._taken(wait=True))

    def finish(self) -> None:
        """Wait until nothing is being written on any rank; all ranks call it.

        A launcher takes the first rank that leaves for the sign to end the others.
        """
        self._wait_together()
        self._ranks.meet()

    def wait_for_last(self, step: int, *, evaluations: int) -> None:
        """Wait until nothing is being written; RunError if the end of training is not saved.

        All ranks call it.
        """
        self._wait_together()
        is_saved = self._ranks.share(self._saved == (step, evaluations))
        if self._options.enabled and not is_saved:
            raise RunError(
                f"the last checkpoint, of step {step}, could not be written to {self._store.root}: "
                "make room there and resume"
            )

    def restore(self) -> int | None:
        """Restore the newest valid checkpoint and return its step; None if there is none."""
        restored = self._restorer.restore()
        if restored is None:
            return None
        self._anchor = restored.anchor
        self._saved = (restored.step, restored.evaluations)
        return restored.step

    def restore_best_weights(self) -> int | None:
        """Load the weights of the best step that is there into the model, and return it, if any.

        They are the averaged ones if there are any.
        """
        self._wait_together()
        return self._restorer.restore_best_weights(self._best)

    def roll_back(self) -> int | None:
        """Go back to the weights of the last planned checkpoint and return its step, if any.

        What goes back with them: `Restorer.roll_back`. All ranks call it.
        """
        self._wait_together()
        return self._restorer.roll_back(to=self._anchor)

    def _wait_together(self) -> None:
        self._writer.wait_together(self._ranks)
        self.wait()

    def _taken(self, *, wait: bool) -> _Write | None:
        try:
            return self._writer.take(wait=wait)
        except Exception as error:
            raise RunError(
                f"the checkpoint of step {self._begun} cannot be written to {self._store.root}: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _snapshot(self, own_states: list[dict[str, Any]], anchor: int | None) -> Snapshot:
        whole = not self._parts.is_needed
        state = {name: part for name, part in self._state.items() if whole or name != "optimizer"}
        training = {name: part.state_dict() for name, part in state.items()}
        parts = {
            "weights": self._model.state_dict() if whole else None,
            "average": self._average.state_dict() if whole and self._average is not None else None,
            "training": {**training, "identity": self._identity, "anchor": anchor},
            "ranks": own_states,
        }
        copied = self._buffers.copy(parts)
        return Snapshot(**copied, num_bytes=self._buffers.num_bytes + self._parts.num_bytes)

    def _written(self, write: _Write, snapshot: Snapshot, anchor: int | None, best: Best) -> _Write:
        """Commit a snapshot, then delete old ones; in the writing thread."""
        start = time.monotonic()
        error = None
        try:
            self._sync_journal()  # a checkpoint builds on the rows before it
            self._buffers.wait()
            get_on = self._writer.get_on
            self._store.write(
                write.step,
                snapshot,
                add=lambda directory: self._parts.write(directory, get_on),
                beat=get_on,
            )
        except OSError as raised:
            error = raised
        else:
            self._delete_old(anchor, best)
        finally:
            self._parts.release()
        return replace(write, seconds=time.monotonic() - start, error=error)

    def _join_writing(self, directory: Path) -> None:
        """Write this rank's part of the checkpoint that rank 0 writes into `directory`."""

        def write() -> None:
            try:
                self._parts.write(directory, self._writer.get_on)
            except OSError as error:
                _log.error("checkpoint failed: %s; training goes on", error)

        if not self._ranks.is_main:
            self._writer.start(write)

    def _delete_old(self, anchor: int | None, best: Best) -> None:
        saved = self._store.steps()
        doomed = steps_to_delete(
            saved,
            keep_last=self._options.keep_last,
            best=best.kept_among(saved),
            anchor=anchor,
            every_steps=self._options.keep_every_steps,
        )
        for step in doomed:
            try:
                self._store.delete(step)
                self._writer.get_on()
            except OSError as error:
                _log.warning("an old checkpoint stays step=%d: %s", step, error)

    def _note(self, write: _Write | None) -> None:
        """Take note of a write that is over; a failed one leaves older checkpoints alone."""
        if write is None:
            return
        if write.error is not None:
            _log.error("checkpoint failed step=%d: %s; training goes on", write.step, write.error)
            return
        self._saved = (write.step, write.evaluations)
        self._anchor = write.step if write.planned else self._anchor
        self._committed.append(write.step)
        _log.info(
            "saved step=%d seconds=%.2f blocked=%.2f", write.step, write.seconds, write.blocked
        )

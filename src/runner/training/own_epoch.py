"""A whole epoch as one step, for tasks that write their epoch themselves.

To the loop such an epoch is one micro-batch, which `OwnEpochStep` reads batch by batch: counters,
cadences, schedules and checkpoints count epochs, and none of them has to know.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from runner.data.data import Batch
from runner.data.epoch import Epoch, MicroBatch
from runner.data.lengths import Lengths
from runner.data.loader import Loader
from runner.errors import WorkerError
from runner.tasks.task import EpochTask
from runner.training.averages import Averages
from runner.training.boundary import Boundary
from runner.training.buffers import BufferSync
from runner.training.parts import Parts
from runner.training.preparation import Preparation
from runner.training.speed import Speedometer
from runner.training.splitting import Splitting
from runner.training.stage import Stage
from runner.training.updates import Updates

_log = logging.getLogger(__name__)


class WholeEpochs:
    """The loader `inner` as one whose epochs are one micro-batch each, read when it is used."""

    def __init__(self, inner: Loader) -> None:
        self.inner = inner

    @property
    def reads_ahead(self) -> bool:
        """Return what `inner` does."""
        return self.inner.reads_ahead

    @property
    def num_batches(self) -> int:
        """Return 1, or 0 if the epochs are empty."""
        return self.lengths.rest

    @property
    def lengths(self) -> Lengths:
        """Return the same for every epoch."""
        inner = self.inner.lengths
        return Lengths(1 if inner is None else min(1, inner.shortest))

    def epoch(self, number: int, start: int = 0, state: dict[str, Any] | None = None) -> Epoch:
        """Return epoch `number`, to which a run comes back at its beginning alone."""
        assert start == 0
        return _Whole(self.inner.epoch(number, 0, state))

    def close(self) -> None:
        """End the workers; the next epoch starts new ones."""
        self.inner.close()


class _Whole:
    """One epoch that is taken at once: the content of its micro-batch is the epoch itself."""

    def __init__(self, inner: Epoch) -> None:
        self._inner = inner
        self.is_over = False

    def take(self, count: int) -> list[MicroBatch]:  # noqa: ARG002
        """Return the one micro-batch; how many samples it has is known when it was read."""
        assert not self.is_over
        self.is_over = True
        return [MicroBatch(self._inner, 0, slice(0, 0))]

    def end(self) -> None:
        self.is_over = True

    def state_dict(self) -> dict[str, Any]:
        return self._inner.state_dict()


class OwnEpochStep:
    """Callable: the epoch of `task`.

    `between` is called before each batch, and may raise to end the epoch there; what the epoch has
    done is lost then.
    """

    def __init__(
        self,
        parts: Parts,
        averages: Averages,
        task: EpochTask,
        *,
        speed: Speedometer,
        between: Callable[[], None],
    ) -> None:
        self._parts = parts
        self._task = task
        self._averages = averages
        self._speed = speed
        self._between = between
        self._prepare = Preparation(parts)
        self._updates = Updates(parts, averages, before=self._begin_update)
        self._sync_buffers = BufferSync(parts.model, parts.ranks)
        self._boundary = Boundary(parts.model, parts.device)
        self._samples, self._own_samples = 0, 0
        self._is_used = False  # whether there is a batch that nothing has followed yet
        self.splitting = Splitting(is_possible=False)
        self.stage = Stage.WHOLE
        _log.info(
            "the task trains whole epochs of its own, each one step here: a resume is exact at "
            "epoch ends, and goes on from the last one that was saved"
        )

    def __call__(self, micro_batches: Sequence[MicroBatch], *, step: int) -> int:
        """Let the task train on the one whole epoch; return the samples it read, on all ranks."""
        parts = self._parts
        if not parts.ranks.are_several:  # several cannot go back alone
            self._boundary.mark()
        self.stage = Stage.COMPUTING
        (whole,) = micro_batches
        self._samples, self._own_samples, self._is_used = 0, 0, False
        batches = self._batches(whole.content, step)
        with parts.precision.autocast():
            values = self._task.training_epoch(parts.model, batches, self._updates)
        whole.content.end()  # also if the task has not read all of it
        self._follow()
        if self._own_samples:
            self._averages.add(values, weight=self._own_samples)
        self.stage = Stage.UPDATING
        return self._samples

    def go_back(self) -> None:
        """After an error while COMPUTING, be at the boundary before the epoch."""
        self._updates.forget_gradients()
        self._boundary.go_back()
        self.stage = Stage.WHOLE

    def _batches(self, epoch: Epoch, step: int) -> Iterator[Batch]:
        position = 0
        while not epoch.is_over:
            self._follow()
            self._between()
            taken = self._take(epoch)
            if not taken:  # a stream that ended where a batch was full
                return
            (micro,) = taken
            self._updates.begin(micro)
            self._samples += micro.size
            self._own_samples += micro.num_samples if micro.counts else 0
            with self._parts.precision.update():
                batch = self._prepare(micro, step=step, position=position)
            position, self._is_used = position + 1, True
            yield batch

    def _take(self, epoch: Epoch) -> list[MicroBatch]:
        try:
            return self._speed.wait(epoch.take, 1)
        except WorkerError:  # perhaps by the signal that asks this process to stop
            if not self._parts.ranks.are_several:
                self._between()
            raise

    def _follow(self) -> None:
        """Let what follows the weights do so, after the updates on a batch."""
        if self._is_used:
            self._sync_buffers()
            self._parts.average.update()
        self._is_used = False

    def _begin_update(self) -> None:
        self.stage = Stage.UPDATING

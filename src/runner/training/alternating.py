"""`AlternatingStep`: one step of a task that updates several optimizers in turns, as GANs do."""

from collections.abc import Sequence

from runner.data.epoch import MicroBatch
from runner.tasks.task import AlternatingTask, StepOutput, no_step_output
from runner.training.averages import Averages
from runner.training.boundary import Boundary
from runner.training.buffers import BufferSync
from runner.training.parts import Parts
from runner.training.preparation import Preparation
from runner.training.splitting import Splitting
from runner.training.stage import Stage
from runner.training.updates import Updates


class AlternatingStep:
    """Callable: the updates that `task` makes on one batch."""

    def __init__(self, parts: Parts, averages: Averages, task: AlternatingTask) -> None:
        self._parts = parts
        self._task = task
        self._averages = averages
        self._prepare = Preparation(parts)
        self._updates = Updates(parts, averages, before=self._begin_update)
        self._sync_buffers = BufferSync(parts.model, parts.ranks)
        self._boundary = Boundary(parts.model, parts.device)
        self.splitting = Splitting(is_possible=False)
        self.stage = Stage.WHOLE

    def __call__(self, micro_batches: Sequence[MicroBatch], *, step: int) -> int:
        """Let the task do its updates on the one micro-batch; return its samples on all ranks."""
        parts = self._parts
        if not parts.ranks.are_several:  # several cannot go back alone
            self._boundary.mark()
        self.stage = Stage.COMPUTING
        (micro,) = micro_batches
        batch = self._prepare(micro, step=step, position=0)
        self._updates.begin(micro)
        with parts.precision.autocast():
            output = self._task.alternating_step(parts.model, batch, self._updates)  # type: ignore[arg-type]
        if not isinstance(output, StepOutput):
            raise no_step_output(self._task, "alternating_step", output)
        if micro.counts:
            values = {"loss": output.loss, **output.values}
            self._averages.add(values, weight=output.num_targets)
        self._sync_buffers()
        self.stage = Stage.UPDATING
        parts.average.update()
        return micro.size

    def go_back(self) -> None:
        """After an error while COMPUTING, be at the boundary before the step."""
        self._updates.forget_gradients()
        self._boundary.go_back()
        self.stage = Stage.WHOLE

    def _begin_update(self) -> None:
        self.stage = Stage.UPDATING

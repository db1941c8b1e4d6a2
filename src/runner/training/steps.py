"""Choose how a step is made, once: by what the task says."""

from collections.abc import Callable

from runner.tasks.task import has_own_epoch, has_step, is_alternating
from runner.training.alternating import AlternatingStep
from runner.training.averages import Averages
from runner.training.own_epoch import OwnEpochStep
from runner.training.parts import Parts
from runner.training.speed import Speedometer
from runner.training.stage import Step
from runner.training.step import TrainingStep


def step_for(
    parts: Parts, averages: Averages, *, speed: Speedometer, between: Callable[[], None]
) -> Step:
    """Return the step of `parts`; `between` is called between two batches inside of a step."""
    task = parts.task
    if has_own_epoch(task):
        return OwnEpochStep(parts, averages, task, speed=speed, between=between)
    if is_alternating(task):
        return AlternatingStep(parts, averages, task)
    assert has_step(task)
    return TrainingStep(parts, averages, task)

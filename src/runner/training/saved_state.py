"""What a checkpoint of a training holds, by name, and the saver that writes and reads it."""

from collections.abc import Callable

from runner.checkpoint.store import CheckpointStore
from runner.config.size import parse_optional_size
from runner.protocols import Stateful
from runner.run.directory import RunDirectory
from runner.training.averages import Averages
from runner.training.best import Best
from runner.training.health import Health
from runner.training.parts import Parts
from runner.training.position import TrainingData
from runner.training.progress import Progress
from runner.training.restoring import CALLBACK_PREFIX
from runner.training.saving import Saver
from runner.training.stage import Step


def saver_for(
    parts: Parts,
    directory: RunDirectory,
    *,
    progress: Progress,
    data: TrainingData,
    averages: Averages,
    step: Step,
    health: Health,
    best: Best,
    sync_journal: Callable[[], None],
    beat: Callable[[], None],
) -> Saver:
    """Return the saver of a training; whatever a restart needs is named here, and nowhere else."""
    options = parts.options
    state: dict[str, Stateful] = {
        "progress": progress,
        "optimizer": parts.optimizer,
        "schedule": parts.schedule,
        "scaler": parts.precision.scaler,
        "splitting": step.splitting,
        "health": health,
        "best": best,
    }
    for name, callback in parts.callbacks.items():
        if isinstance(callback, Stateful):
            state[f"{CALLBACK_PREFIX}{name}"] = callback
    return Saver(
        CheckpointStore(
            directory.checkpoints,
            max_shard_bytes=parse_optional_size(options.checkpoint.max_shard_size),
        ),
        model=parts.model,
        average=parts.average.copy,
        state=state,
        rank_state={"averages": averages, "data": data},
        identity={"seed": options.seed, "data": parts.data_fingerprint},
        best=best,
        options=options.checkpoint,
        ranks=parts.ranks,
        sync_journal=sync_journal,
        beat=beat,
    )

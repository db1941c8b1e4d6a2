"""Build the model of a run with the weights that it trained."""

from pathlib import Path

from torch import nn

from runner.build.trained import trained_step
from runner.build.trusted import trusted_config
from runner.checkpoint.store import CheckpointStore
from runner.config.instantiate import instantiate
from runner.config.trust import Trust
from runner.run.directory import RunDirectory


def trained_model(
    run: str | Path, *, step: int | None = None, trust: bool | str | list[str] = False
) -> nn.Module:
    """Return the model of the run in the directory `run` on the CPU, in eval mode.

    It has the best weights that were kept, or those of `step`. In a config it is a part of another
    experiment: the teacher of a distillation, for one. Of a run from elsewhere, `trust` says whose
    code its config may name: packages, or true for all. Raises RunnerError for a run without any.
    """
    directory = RunDirectory(Path(run))
    config = trusted_config(directory, trust=Trust.of(trust))
    model = instantiate(config.model, "model")
    CheckpointStore(directory.checkpoints).read_weights(trained_step(directory, step), model)
    return model.eval()

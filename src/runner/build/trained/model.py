"""Build the model of a run, or of an exported one, with the weights that were trained."""

from pathlib import Path

from torch import nn

from runner.build.trained.result import step_to_use
from runner.build.trained.used_run import config_to_use, run_to_use
from runner.build.trained.weights import load_trained_weights
from runner.config.instantiate import instantiate
from runner.config.trust import Trust


def trained_model(
    run: str | Path, *, step: int | None = None, trust: bool | str | list[str] = False
) -> nn.Module:
    """Return the model of the run, or the exported one, in the directory `run`, in eval mode.

    It is on the CPU and has the best weights that were kept, or those of `step`. In a config it is
    a part of another experiment: the teacher of a distillation, for one. Of a run from elsewhere,
    `trust` says whose code its config may name: packages, or true for all. Raises RunnerError for a
    run without any.
    """
    directory = run_to_use(Path(run))
    config = config_to_use(directory, trust=Trust.of(trust))
    model = instantiate(config.model, "model")
    return load_trained_weights(model, directory, step_to_use(directory, step))

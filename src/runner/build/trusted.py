"""Read the config of a run that is to be used, not trained: the one way to it."""

from collections.abc import Sequence

from runner.config.evaluating import apply_evaluation_overrides
from runner.config.frozen import load_frozen
from runner.config.run_config import RunConfig
from runner.config.validate import validate
from runner.errors import RunError
from runner.run.directory import RunDirectory


def trusted_config(directory: RunDirectory, *, overrides: Sequence[str] = ()) -> RunConfig:
    """Return the config of the run in `directory`, of which parts may then be built.

    `overrides` change its data, or how its task reads (see `EVALUATION_KEYS`).
    """
    cfg = load_frozen(directory.config)
    if "model" not in cfg:
        raise RunError(
            f"{directory.path} was started from Python, and its config builds nothing: use it "
            "there, by Run(path).load_model(model=...), or Trainer(...).load(path) and its "
            "evaluate(split) and predict(split)"
        )
    apply_evaluation_overrides(cfg, overrides)
    return validate(cfg)

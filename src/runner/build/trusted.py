"""Read the config of a run that is to be used, not trained: the one way to it."""

from runner.config.frozen import load_frozen
from runner.config.run_config import RunConfig
from runner.config.validate import validate
from runner.run.directory import RunDirectory


def trusted_config(directory: RunDirectory) -> RunConfig:
    """Return the config of the run in `directory`, of which parts may then be built."""
    return validate(load_frozen(directory.config))

"""Find the run that is to be used, and its config: what is none, or lies elsewhere, is told."""

import json
from collections.abc import Sequence
from pathlib import Path

from runner.build.trained.trusted import trusted_config
from runner.config.run_config import RunConfig
from runner.config.trust import NOBODY_ELSE, Trust
from runner.errors import ConfigError, RunError
from runner.run.directory import RunDirectory
from runner.sweeps.directory import SweepDirectory, is_sweep
from runner.sweeps.summary import summarize

_NO_MODULE = "there is no module"  # see runner.config.targets


def run_to_use(path: Path) -> RunDirectory:
    """Return the directory of the run, or of the exported model, in `path`.

    Raises RunError for a folder that is neither; that of a sweep names its best run.
    """
    if is_sweep(path):
        best = summarize(SweepDirectory(path)).best
        hint = "" if best is None else f", such as its best one, {best.path}"
        raise RunError(f"{path} is a sweep: give one of its runs{hint}")
    directory = RunDirectory(path)
    if not directory.config.is_file():
        raise RunError(
            f"{path} is no run and no exported model: it has no {directory.config.name} (a run's "
            "own folder is meant, such as outputs/NAME/DATE_TIME_ID)"
        )
    return directory


def config_to_use(
    directory: RunDirectory, *, trust: Trust = NOBODY_ELSE, overrides: Sequence[str] = ()
) -> RunConfig:
    """Return what `trusted_config` does; of code that is not found it says where the run began."""
    try:
        return trusted_config(directory, trust=trust, overrides=overrides)
    except ConfigError as error:
        folder = _started_in(directory)
        if folder is None or folder == Path.cwd() or _NO_MODULE not in str(error):
            raise
        where = f" (the run was started in {folder}: use it from there, or with PYTHONPATH)"
        told = (text + where * (_NO_MODULE in text) for text in error.problems)
        raise ConfigError(*told) from error


def _started_in(directory: RunDirectory) -> Path | None:
    """Return the folder in which the run was started, if it is known and on this machine."""
    try:
        source = json.loads(directory.provenance.read_text(encoding="utf-8"))["source"]
        if "working_directory" in source:
            folder = Path(source["working_directory"])
        else:
            folder = Path(source["repository"], source["folder"] or "")
        return folder if folder.is_dir() else None
    except (OSError, ValueError, LookupError, TypeError):
        return None

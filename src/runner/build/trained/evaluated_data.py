"""The data that a run is evaluated on: which of its sets, and whether they are those of before."""

import logging
from contextlib import suppress

from runner.build.debugging import apply_debug
from runner.build.trained.asked import Asked
from runner.checkpoint.store import CheckpointStore
from runner.config.options import Options
from runner.data.data import Data, in_split, is_map_style
from runner.errors import CheckpointError, ConfigError, did_you_mean
from runner.run.directory import RunDirectory
from runner.run.journal import read_journal

_log = logging.getLogger(__name__)


def datasets_of(data: Data, asked: Asked) -> dict[str, str]:
    """Return the datasets of the split by their own names; ConfigError if there are none."""
    known = list(data.splits())
    for split in ("test", "evaluation") if asked.split is None else (asked.split,):
        if found := in_split(known, split):
            return found
    groups = dict.fromkeys([*known, *(name.partition(".")[0] for name in known)])
    raise ConfigError(
        f"its data has no split {asked.split or 'test or evaluation'}; there are "
        f"{', '.join(known)}{did_you_mean(asked.split or '', groups)} (--split)"
    )


def step_of_seed(asked: Asked, names: dict[str, str], step: int) -> int:
    """Return the step whose random numbers are drawn: that at which training measured the same.

    The test at the end of a training is of its best weights, with the numbers of its last step.
    """
    if asked.step is None and next(iter(names.values())).partition(".")[0] == "test":
        rows = read_journal(RunDirectory(asked.path).journal)
        return next((row.step for row in reversed(rows) if row.split == "test"), step)
    return step


def compare_data(asked: Asked, directory: RunDirectory, step: int, prints: dict[str, str]) -> None:
    """Warn of data that are not those of the training, unless others were asked for."""
    if asked.changes("data") or asked.changes("debug"):
        return
    with suppress(CheckpointError, OSError):
        trained = CheckpointStore(directory.checkpoints).read_identity(step).get("data", {})
        for name, found in prints.items():
            if trained.get(name, found) != found:
                _log.warning(
                    "the %s split is not the one that the run was trained with (%s, then %s): its "
                    "values cannot be compared with those of the training",
                    name,
                    found,
                    trained[name],
                )


def num_samples_of(data: Data, names: dict[str, str], options: Options) -> int | None:
    """Return how many samples a task saw that does not tell of them; None if nobody knows."""
    datasets = [data.splits()[name] for name in names.values()]
    if apply_debug(options).debug.limit_batches or not all(map(is_map_style, datasets)):
        return None
    return sum(len(dataset) for dataset in datasets)  # type: ignore[arg-type]

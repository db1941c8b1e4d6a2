"""Studies in which other runs have been, for those that are judged by them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from runner.config.spaces import read_search
from runner.sweeps.search.options import SearchOptions
from runner.sweeps.search.pruning import Pruning
from runner.sweeps.search.study import Study


def study_of(path: Path, others: Sequence[Mapping[int, float]], mode: str = "min") -> Study:
    """Return a study at `path` in which runs have completed with these scores by evaluation."""
    spaces = read_search(["x=interval(0,1)"]).spaces
    study = Study(path, spaces=spaces, modes=[mode], options=SearchOptions())
    for number, scores in enumerate(others):
        study.add({"x": "0.5"}, run=number, scores=scores)
        study.tell(number, "complete", [scores[max(scores)]])
    return study


def judged_by(study: Study, path: Path, **changes: Any) -> Pruning:
    """Return what a new run of `study`, which is at `path`, needs to be judged by it."""
    trial = study.ask()
    settings = {"pruner": "median", "startup_trials": 1, **changes}
    return Pruning(study=path, name=study.name, trial=trial.number, **settings)


def trials_of(pruning: Pruning) -> list[optuna.trial.FrozenTrial]:
    """Return what Optuna itself reads."""
    backend = optuna.storages.journal.JournalFileBackend(str(pruning.study))
    storage = optuna.storages.JournalStorage(backend)
    return optuna.load_study(study_name=pruning.name, storage=storage).trials


def scores_in(pruning: Pruning) -> dict[int, float]:
    """Return what the run has reported."""
    return trials_of(pruning)[pruning.trial].intermediate_values

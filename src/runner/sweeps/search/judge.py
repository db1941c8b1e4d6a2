"""`StudyJudge`: asks the study, from inside a job, whether its run falls behind the others.

Steps of the study are evaluations, counted from 1: they can be compared where batches have other
sizes. Optuna is imported at the first score. A study that cannot be reached ends no training.
"""

import logging
import warnings
from collections.abc import Callable
from typing import Any

from runner.sweeps.search.pruning import Pruning

_PATIENCE_SECONDS = 20.0
_PLANNED = "planned_evaluations"  # attribute of the study

_log = logging.getLogger(__name__)


class StudyJudge:
    """Reports the scores of one trial and judges them; `planned_evaluations` is a whole run's."""

    def __init__(self, pruning: Pruning, *, planned_evaluations: int | None) -> None:
        self._pruning = pruning
        self._planned_evaluations = planned_evaluations
        self._study: Any = None  # optuna.Study
        self._has_warned = False

    def report(self, evaluation: int, score: float) -> None:
        """Let the others compare themselves with this score; a second time it is ignored."""
        self._tried(lambda: self._report(evaluation, score))

    def is_hopeless(self, evaluation: int) -> bool:
        """Return whether a run with the scores up to this evaluation is to be ended."""
        return bool(self._tried(lambda: self._is_hopeless(evaluation)))

    def _tried(self, ask: Callable[[], Any]) -> Any:
        try:
            if self._study is None:
                self._study = self._load()
            return ask()
        except Exception as error:
            if not self._has_warned:
                _log.warning(
                    "the study %s cannot be reached, this run trains on unjudged: %s: %s",
                    self._pruning.study,
                    type(error).__name__,
                    error,
                )
            self._has_warned = True
            return None

    def _load(self) -> Any:
        import optuna

        from runner.sweeps.search.study import quiet_optuna
        from runner.sweeps.search.study_file import StudyFile

        quiet_optuna()
        if not self._pruning.study.is_file():
            raise FileNotFoundError("there is no such file")
        file = StudyFile(self._pruning.study, patience_seconds=_PATIENCE_SECONDS)
        return optuna.load_study(
            study_name=self._pruning.name, storage=optuna.storages.JournalStorage(file)
        )

    def _report(self, evaluation: int, score: float) -> None:
        from runner.sweeps.search.study import report_scores

        trial = self._trial()
        if not trial.state.is_finished():  # told by a sweep that took this run for lost
            report_scores(self._study._storage, trial._trial_id, {evaluation: score})

    def _is_hopeless(self, evaluation: int) -> bool:
        trial = self._trial()
        if trial.state.is_finished():
            return False
        # A resumed run is judged by what it knew here, not by what it had reported later.
        trial.intermediate_values = {
            number: score
            for number, score in trial.intermediate_values.items()
            if number <= evaluation
        }
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of only NaN
            return self._pruner().prune(self._study, trial)

    def _trial(self) -> Any:
        return self._study.get_trials()[self._pruning.trial]

    def _pruner(self) -> Any:
        import optuna

        if self._pruning.pruner == "median":
            return optuna.pruners.MedianPruner(n_startup_trials=self._pruning.startup_trials)
        planned = self._resource()
        return optuna.pruners.HyperbandPruner(max_resource=planned or "auto")

    def _resource(self) -> int | None:
        """Return how many evaluations a whole run has: one number for all jobs of the study.

        The brackets of Hyperband follow from it, and a trial must not change its own.
        """
        known = self._study.user_attrs.get(_PLANNED)
        if known is None and self._planned_evaluations is not None:
            self._study.set_user_attr(_PLANNED, self._planned_evaluations)
            return self._planned_evaluations
        return known

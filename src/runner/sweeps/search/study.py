"""`Study`: the trials of a search, in Optuna's journal in the sweep's directory.

A trial has a number, parameters, and the number of the run that it stands for. Every change is one
line of the journal or can be begun again: `ask` is several, and what a kill has left of it is
finished by `complete`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from runner.config.space import Space
from runner.sweeps.search.options import SearchOptions
from runner.sweeps.search.samplers import distributions_of, sampler_of, suggest
from runner.sweeps.search.study_file import StudyFile

_RUN, _AGAIN, _ERROR = "run", "again", "error"  # attributes of trials


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One proposal and what came of it."""

    number: int
    state: str  # running | complete | pruned | fail
    params: Mapping[str, str]  # value texts by key; some may be missing after a kill
    run: int | None  # the number of its run; None: not known yet, or refused
    again: bool  # does a run of an earlier trial again, and is no proposal of its own


class Study:
    """The study at `path` over these spaces; other spaces or objectives make another one in it."""

    def __init__(
        self,
        path: Path,
        *,
        spaces: Mapping[str, Space],
        modes: Sequence[str],
        options: SearchOptions,
    ) -> None:
        quiet_optuna()
        self._spaces = spaces
        self._distributions = distributions_of(spaces)
        self._options = options
        self.name = _name(spaces, modes)
        self._storage = JournalStorage(StudyFile(path.absolute()))
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=self.name,
            directions=["minimize" if mode == "min" else "maximize" for mode in modes],
            sampler=sampler_of(options, 0),
            pruner=optuna.pruners.NopPruner(),  # the jobs ask theirs
            load_if_exists=True,
        )
        self._id = self._storage.get_study_id_from_name(self.name)

    @property
    def spaces(self) -> Mapping[str, Space]:
        """Return what each key may be."""
        return self._spaces

    def trials(self) -> list[Trial]:
        """Return all trials in their order."""
        return [self._read(trial) for trial in self._study.get_trials(deepcopy=False)]

    def ask(self) -> Trial:
        """Return a new trial that the sampler proposes."""
        number = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = sampler_of(self._options, number)
        return self._choose(self._study.ask())

    def complete(self, number: int) -> Trial:
        """Return a running trial with the parameters that it still lacked."""
        self._study.sampler = sampler_of(self._options, number)
        return self._choose(optuna.Trial(self._study, self._id_of(number)))

    def add(
        self,
        params: Mapping[str, str],
        *,
        run: int,
        again: bool = False,
        scores: Mapping[int, float] | None = None,
    ) -> Trial | None:
        """Return a new running trial for a run that is there; None if it is outside the spaces."""
        values = {key: space.value_of(params.get(key, "")) for key, space in self._spaces.items()}
        if any(value is None for value in values.values()):
            return None
        trial = create_trial(
            state=TrialState.RUNNING,
            params=values,
            distributions=self._distributions,
            user_attrs={_RUN: run, _AGAIN: again},
            intermediate_values=dict(scores or {}),
        )
        self._study.add_trial(trial)
        return self.trials()[-1]

    def bind(self, number: int, run: int) -> None:
        """Write down which run a trial stands for."""
        self._set(number, _RUN, run)

    def report(self, number: int, scores: Mapping[int, float]) -> None:
        """Let a running trial have these scores of evaluations, where its job did not tell them."""
        report_scores(self._storage, self._id_of(number), scores)

    def tell(self, number: int, state: str, values: Sequence[float] | None = None) -> None:
        """End a running trial as complete, with its values, or as pruned or fail."""
        self._study.tell(number, values, state=TrialState[state.upper()])

    def refuse(self, number: int, reason: str) -> None:
        """End a running trial whose parameters make no run."""
        self._set(number, _ERROR, reason)
        self.tell(number, "fail")

    def _choose(self, trial: optuna.Trial) -> Trial:
        trial.relative_params  # noqa: B018 - drawn here, together
        for key, distribution in self._distributions.items():
            self._study.sampler = sampler_of(self._options, trial.number, key)
            suggest(trial, key, distribution)  # what it has already stays
        return self._read(self._storage.get_trial(self._id_of(trial.number)))

    def _read(self, trial: FrozenTrial) -> Trial:
        return Trial(
            number=trial.number,
            state=trial.state.name.lower(),
            params={key: self._spaces[key].text_of(value) for key, value in trial.params.items()},
            run=trial.user_attrs.get(_RUN),
            again=trial.user_attrs.get(_AGAIN, False),
        )

    def _set(self, number: int, name: str, value: Any) -> None:
        self._storage.set_trial_user_attr(self._id_of(number), name, value)

    def _id_of(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)


def report_scores(storage: JournalStorage, id: int, scores: Mapping[int, float]) -> None:
    """Add `scores` by evaluation to those of a trial; what was reported first stands."""
    known = storage.get_trial(id).intermediate_values
    for evaluation, score in scores.items():
        if evaluation not in known:
            storage.set_trial_intermediate_value(id, evaluation, score)


def quiet_optuna() -> None:
    """Let Optuna speak only of what goes wrong, in our log."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()


def _name(spaces: Mapping[str, Space], modes: Sequence[str]) -> str:
    """Return a name that is another one for what Optuna cannot hold in one study."""
    described = {key: [type(space).__name__, asdict(space)] for key, space in spaces.items()}
    text = json.dumps([described, list(modes)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]

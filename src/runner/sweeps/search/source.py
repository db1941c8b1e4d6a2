"""`SearchSource`: a search that proposes one run after the other, and goes on where it was stopped.

    open        trials that a kill left without parameters or run get them
                runs of the ledger that no trial stands for become trials, if the spaces hold them
                trials under way: told if their run has ended, else given out again as the same run
    take        a run that waits; else the sampler proposes one at this moment:
                ask -> combine -> ledger -> the trial knows its run
    ended       the trials of the run are told

A kill between any two of these leaves something that `open` finishes. A proposal equal to one made
before is told what that was worth, and does not count; where a sampler goes on proposing what was
tried, an untried combination is taken, if they can be counted.
"""

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Mapping

from runner.config.space import Space
from runner.errors import ConfigError
from runner.run.status import Status, read_status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import Combination, Ledger, PlannedRun
from runner.sweeps.search.options import SearchOptions, check_search
from runner.sweeps.search.pruning import Pruning
from runner.sweeps.search.study import Study, Trial
from runner.sweeps.search.tried import Tried
from runner.sweeps.search.values import scores_of, values_of

Combine = Callable[[Mapping[str, str]], Combination]  # value texts by key; ConfigError: no run
Wants = Callable[[PlannedRun, Status | None], bool]  # is this run to be done, or done again?

_log = logging.getLogger(__name__)


def open_search(
    directory: SweepDirectory,
    *,
    options: SearchOptions,
    spaces: Mapping[str, Space],
    ledger: Ledger,
    combine: Combine,
    wants: Wants,
    best_metric: str,
    best_mode: str,
) -> "SearchSource":
    """Return the search in this sweep's directory, begun or gone on with; for who holds the sweep.

    `wants` decides of a run that is there, by its status (None: it has none), whether it is given
    out again. Raises ConfigError for options that the config of the runs makes impossible.
    """
    check_search(options, spaces, best_metric=best_metric)
    modes = list(options.objectives.values()) or [best_mode]
    study = Study(directory.study, spaces=spaces, modes=modes, options=options)
    source = SearchSource(
        directory,
        study=study,
        options=options,
        ledger=ledger,
        combine=combine,
        wants=wants,
        best_metric=best_metric,
    )
    source.recover()
    return source


class SearchSource:
    """Gives out the runs of a search; see `open_search`."""

    def __init__(
        self,
        directory: SweepDirectory,
        *,
        study: Study,
        options: SearchOptions,
        ledger: Ledger,
        combine: Combine,
        wants: Wants,
        best_metric: str,
    ) -> None:
        self._directory = directory
        self._study = study
        self._options = options
        self._ledger = ledger
        self._combine = combine
        self._wants = wants
        self._best_metric = best_metric
        self._tried = Tried(study.spaces, limit=options.n_trials)
        self._is_stuck = False
        self._runs: set[int] = set()  # that a trial stands for
        self._waiting: deque[PlannedRun] = deque()
        self._open: defaultdict[int, list[int]] = defaultdict(list)  # running trials by run
        self._unpruned: set[int] = set()  # runs that were pruned and are wanted nevertheless
        self._given_out: set[int] = set()
        self._ended: dict[int, Status] = {}  # in this start of the sweep

    @property
    def is_exhausted(self) -> bool:
        return not self._waiting and self._has_asked_all

    @property
    def total(self) -> int | None:
        """Return how many runs there will be, as far as proposals are not equal to earlier ones."""
        if self._has_asked_all:
            return len(self._runs)
        return len(self._runs) + self._tried.num_left

    def take(self) -> PlannedRun | None:
        while not self._waiting:
            if self._has_asked_all:
                return None
            trial = self._study.ask()
            self._tried.add(trial.params)
            run = self._run_of(trial)
            if run is not None:
                self._settle_or_queue(trial, run)
            if self._tried.is_repeating:
                self._take_untried()
            if self._tried.has_all:
                _log.info("all %d combinations were tried", self._tried.num_combinations)
        run = self._waiting.popleft()
        self._given_out.add(run.number)
        return run

    def _take_untried(self) -> None:
        """Let a combination that was never proposed be a trial; end the search if none is left."""
        untried = self._tried.untried()
        if untried is None:
            _log.warning("the sampler proposes nothing new: the search ends here")
            self._is_stuck = True
            return
        self._tried.add(untried)
        try:
            [run] = self._ledger.add([self._combine(untried)])
        except ConfigError as error:
            _log.warning("%s makes no run: %s", untried, error)
            return
        trial = self._study.add(untried, run=run.number)
        if trial is not None:
            self._settle_or_queue(trial, run)

    def ended(self, run: PlannedRun, status: Status) -> None:
        """Tell the study: a run that completed, failed or was pruned; others stay open.

        What was stopped, or is lost, is given out again by the next start.
        """
        self._given_out.discard(run.number)
        self._ended[run.number] = status
        self._tell(run, status)

    def pruning_of(self, run: PlannedRun) -> Pruning | None:
        """Return what the job of a run that was taken needs to end early; None: it trains on."""
        trials = self._open[run.number]
        if not self._options.prunes or not trials or run.number in self._unpruned:
            return None
        return Pruning(
            study=self._directory.study.absolute(),
            name=self._study.name,
            trial=trials[0],
            pruner=self._options.pruner,
            warmup=self._options.pruning_warmup,
            startup_trials=self._options.pruning_startup_trials or 5,
        )

    def recover(self) -> None:
        """Finish what an earlier start has left; called once, before the first `take`."""
        numbers = {run.number for run in self._ledger.runs.values()}
        for trial in self._study.trials():
            if trial.state == "running" and trial.run not in numbers:
                self._run_of(self._study.complete(trial.number))
        self._adopt()
        runs = {run.number: run for run in self._ledger.runs.values()}
        last: dict[int, Trial] = {}
        for trial in self._study.trials():
            self._tried.add(trial.params)
            if trial.run in runs:
                self._runs.add(trial.run)
                last[trial.run] = trial
                if trial.state == "running":
                    self._open[trial.run].append(trial.number)
                elif trial.state == "pruned":
                    self._unpruned.add(trial.run)
        for number, trial in last.items():
            self._go_on(trial, runs[number])

    def _adopt(self) -> None:
        """Let a run that has no trial be one: of another study or sweeper, or a lost study."""
        known = {trial.run for trial in self._study.trials()}
        for run in list(self._ledger.runs.values()):
            if run.number not in known:
                parts = (text.partition("=") for text in run.overrides)
                params = {key: value for key, _, value in parts}
                self._study.add(params, run=run.number, scores=self._scores_of(run))

    def _scores_of(self, run: PlannedRun) -> dict[int, float]:
        if self._options.objectives or not self._best_metric.startswith("evaluation."):
            return {}
        return scores_of(self._directory.job(run.number), self._best_metric)

    def _go_on(self, trial: Trial, run: PlannedRun) -> None:
        """Give out again, or tell, the run of its last trial."""
        status = self._status_of(run)
        is_wanted = self._wants(run, status)
        if status is not None and status.state == "pruned":
            self._unpruned.add(run.number)
        if not self._open[run.number] and is_wanted:  # told, and a told trial stays what it is
            again = self._study.add(trial.params, run=run.number, again=True)
            if again is not None:
                self._open[run.number].append(again.number)
        if not self._open[run.number]:
            return
        if is_wanted:
            self._waiting.append(run)
        else:
            self._tell(run, status, is_final=True)

    def _run_of(self, trial: Trial) -> PlannedRun | None:
        """Return the run of a new trial, which has its place in the ledger; None if refused."""
        try:
            combination = self._combine(trial.params)
        except ConfigError as error:
            _log.warning("trial %d makes no run: %s", trial.number, error)
            self._study.refuse(trial.number, str(error))
            return None
        [run] = self._ledger.add([combination])
        self._study.bind(trial.number, run.number)
        return run

    def _settle_or_queue(self, trial: Trial, run: PlannedRun) -> None:
        """Let a new trial wait for a run; if an equal one was done before, tell what came of it."""
        self._runs.add(run.number)
        self._open[run.number].append(trial.number)
        if run.number in self._given_out:
            return  # told together
        status = self._ended.get(run.number)
        if status is not None:
            self._tell(run, status)
        elif self._wants(run, status := self._status_of(run)):
            self._waiting.append(run)
        else:
            self._tell(run, status, is_final=True)

    def _tell(self, run: PlannedRun, status: Status | None, *, is_final: bool = False) -> None:
        """Tell the open trials of `run` how it ended; `is_final`: it will not be tried again."""
        state, values = self._outcome_of(run, status)
        is_alive = status is not None and status.state in ("queued", "running")
        if state is None and (is_alive or not is_final):
            return
        scores = self._scores_of(run) if state == "pruned" else {}
        for number in self._open.pop(run.number, []):
            self._study.report(number, scores)
            self._study.tell(number, state or "fail", values)

    def _outcome_of(
        self, run: PlannedRun, status: Status | None
    ) -> tuple[str | None, list[float] | None]:
        match status.state if status else None:
            case "completed":
                assert status is not None
                values = values_of(
                    self._directory.job(run.number), status, self._options.objectives
                )
                if values is None:
                    _log.warning("run %d has no value that can be compared", run.number)
                return ("fail", None) if values is None else ("complete", values)
            case "pruned":
                return "pruned", None
            case "failed":
                return "fail", None
        return None, None

    def _status_of(self, run: PlannedRun) -> Status | None:
        return read_status(self._directory.job(run.number))

    @property
    def _has_asked_all(self) -> bool:
        return self._is_stuck or self._tried.num_left == 0

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.run.journal import Journal, Row
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.search.judge import StudyJudge
from runner.sweeps.search.pruning import Pruning
from runner.sweeps.search.source import SearchSource
from tests.sweeps.search.searches import end, open_toy, toy_score
from tests.sweeps.search.studies import judged_by, scores_in, study_of, trials_of

NUM_EVALUATIONS = 9
REPORT = """
import sys
from pathlib import Path
from runner.sweeps.search.judge import StudyJudge
from runner.sweeps.search.pruning import Pruning
_, path, name, trial = sys.argv
pruning = Pruning(study=Path(path), name=name, trial=int(trial), pruner="median")
judge = StudyJudge(pruning, planned_evaluations=None)
for evaluation in range(1, 101):
    judge.report(evaluation, pruning.trial + evaluation / 1000)
    judge.is_hopeless(evaluation)
print(judge._has_warned)
"""


def judge_of(pruning: Pruning, planned: int | None = NUM_EVALUATIONS) -> StudyJudge:
    return StudyJudge(pruning, planned_evaluations=planned)


def test_processes_that_report_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    study = study_of(path, [{1: 9.0}] * 6)
    prunings = [judged_by(study, path, startup_trials=5) for _ in range(3)]
    source = str(Path(__file__).parents[3] / "src")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REPORT, str(path), pruning.name, str(pruning.trial)],
            env={**os.environ, "PYTHONPATH": source},
            stdout=subprocess.PIPE,
            text=True,
        )
        for pruning in prunings
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["False"] * 3
    for pruning in prunings:
        assert scores_in(pruning) == {
            evaluation: pruning.trial + evaluation / 1000 for evaluation in range(1, 101)
        }


def test_the_median_of_the_others_decides(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    study = study_of(path, [{1: 1.0, 2: 0.5}, {1: 3.0, 2: 1.5}, {1: 5.0, 2: 2.5}])
    for score, is_hopeless in ((2.9, False), (3.1, True), (float("nan"), True)):
        judge = judge_of(judged_by(study, path, startup_trials=3))
        judge.report(1, score)
        assert judge.is_hopeless(1) == is_hopeless
    judge = judge_of(judged_by(study, path, startup_trials=4))
    judge.report(1, 99.0)
    assert not judge.is_hopeless(1), "too few have completed"


def test_a_resumed_run_is_judged_by_what_it_knew(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    study = study_of(path, [{1: 1.0, 2: 0.0}])
    pruning = judged_by(study, path)
    judge_of(pruning).report(1, 0.5)
    judge_of(pruning).report(2, 0.4)  # and was killed, and goes on before the first evaluation
    assert not judge_of(pruning).is_hopeless(1)
    assert judge_of(pruning).is_hopeless(2)


def curve(values: Mapping[str, str], evaluation: int) -> float:
    return toy_score(values) + 2.0 / evaluation


def do_judged(path: Path, source: SearchSource, *, at_most: int = 1000) -> list[tuple[int, int]]:
    """Do runs that ask at every evaluation; return which were pruned, and when."""
    pruned: list[tuple[int, int]] = []
    for _ in range(at_most):
        run = source.take()
        if run is None:
            break
        pruning = source.pruning_of(run)
        assert pruning is not None
        journal = Journal(SweepDirectory(path).job(run.number).journal)
        state = "completed"
        for evaluation in range(1, NUM_EVALUATIONS + 1):
            score = curve(run.config, evaluation)
            journal.append(Row(evaluation, 0.0, 0.0, "evaluation", {"loss": score}))
            judge = judge_of(pruning)  # anew, as after a kill
            judge.report(evaluation, score)
            if evaluation < NUM_EVALUATIONS and judge.is_hopeless(evaluation):
                pruned.append((run.number, evaluation))
                state = "pruned"
                break
        journal.close()
        source.ended(run, end(path, run, state, score=score))
    return pruned


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_pruning_does_not_depend_on_how_often_the_sweep_was_stopped(
    tmp_path: Path, pruner: str
) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    chosen = {"pruner": pruner, "n_trials": 25, "startup_trials": 8}
    whole = do_judged(straight, open_toy(straight, **chosen))
    pieces: list[tuple[int, int]] = []
    while not (source := open_toy(stopped, **chosen)).is_exhausted:
        pieces += do_judged(stopped, source, at_most=6)
    assert pieces == whole
    assert 5 < len(whole) < 25
    if pruner == "hyperband":
        assert {evaluation for _, evaluation in whole} <= {1, 3, 9}, "where its rungs are"
        assert len({evaluation for _, evaluation in whole}) > 1, "in more than one bracket"


def test_all_jobs_of_a_study_have_the_brackets_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    study, hopeless = study_of(path, [{1: 0.0}]), []
    for number in range(12):
        judge = judge_of(judged_by(study, path, pruner="hyperband"), 1 if number else 27)
        judge.report(1, float(number))
        hopeless.append(judge.is_hopeless(1))
    assert 0 < sum(hopeless) < 9, "with 1 planned there is one bracket, and all but one end"


def test_pruned_trials_have_the_score_that_they_ended_with(tmp_path: Path) -> None:
    source = open_toy(tmp_path, pruner="hyperband", n_trials=15)
    pruned = dict(do_judged(tmp_path, source))
    pruning = Pruning(
        study=tmp_path / "study.log", name=source._study.name, trial=0, pruner="hyperband"
    )
    for trial in trials_of(pruning):
        assert (trial.state.name == "PRUNED") == (trial.number in pruned)
        last = max(trial.intermediate_values)
        if trial.number in pruned:
            assert last == pruned[trial.number]
        assert trial.value == trial.intermediate_values[last]

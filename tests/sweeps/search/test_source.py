import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from runner.errors import ConfigError
from runner.run.journal import Journal, Row
from runner.run.lease import Lease
from runner.run.status import Status
from runner.runtime.signals import StopRequests
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import Combination, Ledger, read_ledger
from runner.sweeps.search.source import SearchSource
from runner.sweeps.search.study_file import StudyFile
from tests.sweeps.search.searches import (
    SMALL,
    combine,
    do_all,
    end,
    open_toy,
    toy_score,
)


def trials_in(path: Path, source: SearchSource) -> list[optuna.trial.FrozenTrial]:
    """Return what Optuna itself reads."""
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(path / "study.log"))
    )
    return optuna.load_study(study_name=source._study.name, storage=storage).trials


def states_in(path: Path, source: SearchSource) -> list[str]:
    return [trial.state.name for trial in trials_in(path, source)]


def sequence(values: Mapping[str, str]) -> float:
    """Return a score of small spaces."""
    return float("".join(values.values()))


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "nsgaii"])
def test_trials_and_runs_belong_to_one_another(tmp_path: Path, sampler: str) -> None:
    source = open_toy(tmp_path, sampler=sampler, n_trials=15)
    assert source.total == 15
    runs = do_all(tmp_path, source)
    assert source.is_exhausted and source.take() is None and source.total == 15
    assert [run.number for run in runs] == list(range(15))
    for trial, run in zip(trials_in(tmp_path, source), runs, strict=True):
        assert trial.user_attrs["run"] == run.number
        assert trial.value == toy_score(run.config)
        for name, value in trial.params.items():
            text = run.config[name]
            shown = text if name == "model" else pytest.approx(json.loads(text), rel=1e-3)
            assert value == shown


def test_more_trials_top_up_and_the_same_number_does_nothing(tmp_path: Path) -> None:
    assert len(do_all(tmp_path, open_toy(tmp_path, n_trials=4))) == 4
    assert do_all(tmp_path, open_toy(tmp_path, n_trials=4)) == []
    assert do_all(tmp_path, open_toy(tmp_path, n_trials=2)) == []
    more = do_all(tmp_path, open_toy(tmp_path, n_trials=7))
    assert [run.number for run in more] == [4, 5, 6]


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "nsgaii"])
def test_a_search_proposes_the_same_however_often_it_was_stopped(
    tmp_path: Path, sampler: str
) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    chosen = {"sampler": sampler, "n_trials": 16, "seed": 3}
    if sampler != "random":
        chosen["startup_trials"] = 5
    whole = do_all(straight, open_toy(straight, **chosen))
    pieces = []
    while piece := do_all(stopped, open_toy(stopped, **chosen), at_most=3):
        pieces += piece
    assert [run.overrides for run in pieces] == [run.overrides for run in whole]
    other = do_all(tmp_path / "other", open_toy(tmp_path / "other", **{**chosen, "seed": 4}))
    assert other[0].overrides != whole[0].overrides


def test_tpe_learns_from_the_runs(tmp_path: Path) -> None:
    scores = [
        toy_score(run.config)
        for run in do_all(tmp_path, open_toy(tmp_path, n_trials=45, startup_trials=10))
    ]
    assert sum(scores[-15:]) < 0.5 * sum(scores[:10]) / 10 * 15


def test_runs_under_way_are_given_out_again_and_those_that_ended_meanwhile_are_told(
    tmp_path: Path,
) -> None:
    source = open_toy(tmp_path, n_trials=5)
    first, second, third, fourth = (source.take() for _ in range(4))
    assert first and second and third and fourth
    end(tmp_path, first, score=1.0)  # told by nobody: the sweep was killed
    end(tmp_path, second, "failed")
    source.ended(third, end(tmp_path, third, "preempted"))
    again = open_toy(tmp_path, n_trials=5)
    assert states_in(tmp_path, again) == ["COMPLETE", "RUNNING", "RUNNING", "RUNNING"]
    given = [again.take() for _ in range(4)]
    assert given[:3] == [second, third, fourth]
    assert given[3] is not None and given[3].number == 4
    assert again.take() is None and again.is_exhausted


def test_a_failed_run_is_told_and_if_wanted_again_done_as_the_same_run(tmp_path: Path) -> None:
    source = open_toy(tmp_path, n_trials=2)
    run = source.take()
    assert run is not None
    source.ended(run, end(tmp_path, run, "failed"))
    assert states_in(tmp_path, source) == ["FAIL"]
    none = open_toy(tmp_path, n_trials=1, wants=lambda run, status: status is None)
    assert none.take() is None and states_in(tmp_path, none) == ["FAIL"]
    again = open_toy(tmp_path, n_trials=2)
    assert again.take() == run
    open_toy(tmp_path, n_trials=2)  # killed here: no third trial of it
    again = open_toy(tmp_path, n_trials=2)
    assert again.take() == run
    again.ended(run, end(tmp_path, run, score=0.5))
    assert states_in(tmp_path, again) == ["FAIL", "COMPLETE"]
    assert trials_in(tmp_path, again)[1].value == 0.5
    assert [run.number for run in do_all(tmp_path, again)] == [1], "it counts once"
    assert open_toy(tmp_path, n_trials=2).take() is None


def test_small_spaces_end_and_nothing_is_done_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source = open_toy(tmp_path, SMALL, n_trials=1000, sampler="random")
    assert source.total == 6
    runs = do_all(tmp_path, source, sequence)
    assert sorted(sequence(run.config) for run in runs) == [11, 12, 13, 21, 22, 23]
    assert source.is_exhausted and source.total == 6
    assert "all 6 combinations were tried" in caplog.text
    trials = trials_in(tmp_path, source)
    assert 6 < len(trials) < 100
    by_params: dict[str, set[Any]] = {}
    for trial in trials:
        by_params.setdefault(str(trial.params), set()).add((trial.value, trial.user_attrs["run"]))
    assert all(len(outcomes) == 1 for outcomes in by_params.values()), "told what it was worth"


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_equal_proposals_are_no_trials_of_their_own(tmp_path: Path, sampler: str) -> None:
    source = open_toy(tmp_path, SMALL, n_trials=5, sampler=sampler, seed=1)
    runs = do_all(tmp_path, source, sequence)
    assert len(runs) == 5 and source.total == 5
    assert not do_all(tmp_path, open_toy(tmp_path, SMALL, n_trials=5, sampler=sampler), sequence)
    more = do_all(tmp_path, open_toy(tmp_path, SMALL, n_trials=6, sampler=sampler), sequence)
    assert len(more) == 1, "however often the sampler proposes its favourites"


def test_a_proposal_equal_to_a_running_one_is_told_with_it(tmp_path: Path) -> None:
    source = open_toy(tmp_path, ("a=1,2",), n_trials=9, sampler="random")
    first, second = source.take(), source.take()
    assert first and second and source.take() is None
    source.ended(first, end(tmp_path, first, score=1.0))
    assert "RUNNING" in states_in(tmp_path, source)
    source.ended(second, end(tmp_path, second, score=2.0))
    trials = trials_in(tmp_path, source)
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert {(trial.params["a"], trial.value) for trial in trials} == {
        (first.config["a"], 1.0),
        (second.config["a"], 2.0),
    }


def test_a_proposal_that_makes_no_run_is_told_as_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def picky(values: Mapping[str, str]) -> Combination:
        if values["model"] == "mlp":
            raise ConfigError("an mlp takes no such width")
        return combine(values)

    source = open_toy(tmp_path, n_trials=10, combine=picky, sampler="random")
    runs = do_all(tmp_path, source)
    trials = trials_in(tmp_path, source)
    assert len(trials) == 10 and 0 < len(runs) < 10
    for trial in trials:
        assert (trial.state.name == "FAIL") == (trial.params["model"] == "mlp")
    assert "makes no run: an mlp takes no such width" in caplog.text
    assert [run.number for run in runs] == list(range(len(runs)))


@pytest.mark.parametrize("score", [None, float("nan")])
def test_a_run_without_a_score_is_a_failed_trial(tmp_path: Path, score: float | None) -> None:
    source = open_toy(tmp_path, n_trials=1)
    run = source.take()
    assert run is not None
    source.ended(run, Status(state="completed", score=score))
    assert states_in(tmp_path, source) == ["FAIL"]


@pytest.mark.parametrize("left", ["trial", "half", "params", "ledger"])
def test_what_a_kill_left_of_a_proposal_becomes_its_run(tmp_path: Path, left: str) -> None:
    """Cut the files where a kill may: without parameters, with some, without a run."""
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    whole = do_all(straight, open_toy(straight, n_trials=3, seed=5))
    source = open_toy(cut, n_trials=3, seed=5)
    do_all(cut, source, at_most=1)
    log = cut / "study.log"
    before = len(log.read_bytes().splitlines())
    source.take()
    lines = log.read_bytes().splitlines(keepends=True)
    if left != "ledger":
        ledger = cut / "ledger.jsonl"
        ledger.write_text("".join(ledger.read_text().splitlines(keepends=True)[:-1]))
    kept = {"trial": before + 1, "half": before + 2, "params": len(lines) - 1}
    log.write_bytes(b"".join(lines[: kept.get(left, len(lines) - 1)]))
    runs = do_all(cut, open_toy(cut, n_trials=3, seed=5))
    assert [run.overrides for run in runs] == [run.overrides for run in whole[1:]]
    assert len(read_ledger(cut / "ledger.jsonl")) == 3


def test_half_a_line_harms_nothing(tmp_path: Path) -> None:
    source = open_toy(tmp_path, n_trials=3)
    do_all(tmp_path, source, at_most=1)
    log = tmp_path / "study.log"
    log.write_bytes(log.read_bytes() + b'{"op_code": 7, "tri')
    again = open_toy(tmp_path, n_trials=3)
    assert len(do_all(tmp_path, again)) == 2
    assert len(trials_in(tmp_path, again)) == 3, "Optuna reads it too"


def test_a_line_that_is_damaged_is_left_out(tmp_path: Path) -> None:
    file = StudyFile(tmp_path / "study.log")
    file.append_logs([{"a": 1}])
    with (tmp_path / "study.log").open("ab") as log:
        log.write(b"\0\0\0\n")
    file.append_logs([{"a": 2}])
    assert list(file.read_logs(0)) == [{"a": 1}, {"a": 2}]
    file.append_logs([{"a": 3}])
    assert list(file.read_logs(2)) == [{"a": 3}]
    assert list(file.read_logs(1)) == [{"a": 2}, {"a": 3}]


def test_other_spaces_go_on_with_the_runs_that_fit_them(tmp_path: Path) -> None:
    def score(values: Mapping[str, str]) -> float:
        return float(values["a"]) + float(values["b"])

    do_all(tmp_path, open_toy(tmp_path, ("a=1,2", "b=interval(0,1)"), n_trials=6), score)
    wider = open_toy(tmp_path, ("a=1,2,3", "b=interval(-1,1)"), n_trials=8)
    trials = trials_in(tmp_path, wider)
    assert [trial.user_attrs["run"] for trial in trials] == list(range(6))
    assert all(trial.value == trial.params["b"] + float(trial.params["a"]) for trial in trials)
    assert [run.number for run in do_all(tmp_path, wider, score)] == [6, 7]
    narrow = open_toy(tmp_path, ("a=4,5", "b=interval(-1,1)"), n_trials=1)
    assert len(do_all(tmp_path, narrow, score)) == 1, "none of the others is one of its trials"


def test_a_lost_study_is_made_again_from_the_runs(tmp_path: Path) -> None:
    source = open_toy(tmp_path, n_trials=4)
    do_all(tmp_path, source, at_most=2)
    under_way = source.take()
    values = [trial.value for trial in trials_in(tmp_path, source)]
    (tmp_path / "study.log").unlink()
    again = open_toy(tmp_path, n_trials=4)
    assert [trial.value for trial in trials_in(tmp_path, again)] == values
    assert again.take() == under_way
    assert [run.number for run in do_all(tmp_path, again)] == [3]


def row(step: int, split: str, **values: float) -> Row:
    return Row(step=step, epoch=0.0, time=0.0, split=split, values=values)


def test_objectives_are_those_of_the_best_weights(tmp_path: Path) -> None:
    objectives = {"evaluation.accuracy": "max", "test.loss": "min"}
    source = open_toy(tmp_path, n_trials=2, objectives=objectives, sampler="nsgaii")
    run = source.take()
    assert run is not None
    journal = Journal(SweepDirectory(tmp_path).job(run.number).journal)
    journal.append(row(5, "evaluation", accuracy=0.5, loss=1.0))
    journal.append(row(10, "evaluation", accuracy=0.7, loss=0.5))
    journal.append(row(15, "evaluation", accuracy=0.9, loss=0.6))
    journal.append(row(15, "test", loss=0.55))
    journal.close()
    source.ended(run, end(tmp_path, run, score=0.5))  # best at step 10
    assert trials_in(tmp_path, source)[0].values == [0.7, 0.55]
    run = source.take()
    assert run is not None
    source.ended(run, end(tmp_path, run, score=0.5))
    assert states_in(tmp_path, source)[1] == "FAIL", "it measured none of them"


def test_a_pruned_run_is_told_with_its_last_score(tmp_path: Path) -> None:
    source = open_toy(tmp_path, SMALL, n_trials=1000, sampler="random", pruner="median")
    run = source.take()
    assert run is not None
    journal = Journal(SweepDirectory(tmp_path).job(run.number).journal)
    journal.append(row(5, "evaluation", loss=3.0))
    journal.append(row(10, "evaluation", loss=2.0))
    journal.close()
    source.ended(run, end(tmp_path, run, "pruned", score=2.0))
    do_all(tmp_path, source, sequence)
    same = [t for t in trials_in(tmp_path, source) if t.user_attrs["run"] == run.number]
    assert len(same) > 1
    for trial in same:
        assert (trial.state.name, trial.value) == ("PRUNED", 2.0)
        assert trial.intermediate_values == {1: 3.0, 2: 2.0}


def test_a_pruned_run_that_is_wanted_again_trains_on_unjudged(tmp_path: Path) -> None:
    source = open_toy(tmp_path, n_trials=1, pruner="median", pruning_warmup="2 epochs")
    run = source.take()
    assert run is not None
    pruning = source.pruning_of(run)
    assert pruning is not None
    assert (pruning.trial, pruning.warmup, pruning.study) == (0, "2 epochs", tmp_path / "study.log")
    source.ended(run, end(tmp_path, run, "pruned", score=1.0))
    again = open_toy(tmp_path, n_trials=1, pruner="median", wants=lambda run, status: True)
    assert again.take() == run and again.pruning_of(run) is None
    again.ended(run, end(tmp_path, run, score=0.25))
    assert [trial.value for trial in trials_in(tmp_path, again)] == [None, 0.25]


def test_without_a_pruner_nothing_is_judged(tmp_path: Path) -> None:
    source = open_toy(tmp_path, n_trials=1)
    run = source.take()
    assert run is not None and source.pruning_of(run) is None
    with pytest.raises(ConfigError, match="is not measured there"):
        open_toy(tmp_path, pruner="median", best_metric="train.loss")


def test_a_run_that_a_live_job_works_on_stays_open(tmp_path: Path) -> None:
    source = open_toy(tmp_path, n_trials=2)
    run = source.take()
    assert run is not None
    directory = SweepDirectory(tmp_path).job(run.number)
    lease = Lease(directory.lease, on_beat=lambda: None, stop=StopRequests())
    lease.acquire()
    end(tmp_path, run, "running")
    again = open_toy(tmp_path, n_trials=2, wants=lambda run, status: status is None)
    assert states_in(tmp_path, again) == ["RUNNING"]
    assert [done.number for done in do_all(tmp_path, again)] == [1]
    lease.release()
    cancelled = end(tmp_path, run, "cancelled")
    again.ended(run, cancelled)
    assert states_in(tmp_path, again) == ["RUNNING", "COMPLETE"]
    again = open_toy(tmp_path, n_trials=2)
    assert again.take() is None and states_in(tmp_path, again) == ["FAIL", "COMPLETE"]


def test_runs_of_a_grid_count_where_the_spaces_hold_them(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    texts = [{"a": "1", "b": "2"}, {"a": "7", "b": "2"}, {"a": "1", "c": "2"}]
    runs = ledger.add(combine(values) for values in texts)
    for run in runs:
        end(tmp_path, run, score=5.0)
    deleted = Combination(key="x", overrides=("~a", "b=1"), config={})
    ledger.add([deleted])
    source = open_toy(tmp_path, SMALL, n_trials=2, sampler="random")
    assert [trial.value for trial in trials_in(tmp_path, source)] == [5.0]
    assert [run.number for run in do_all(tmp_path, source, sequence)] == [4]

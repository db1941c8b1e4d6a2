"""A training that falls behind those of others ends early, and well."""

import fcntl
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.build.pruning import planned_evaluations, with_pruning
from runner.config.compose import compose
from runner.config.frozen import freeze
from runner.config.options import CheckpointOptions, Options
from runner.errors import ConfigError, Interrupted
from runner.job.fit import Job, fit
from runner.job.ordered import OrderedJob
from runner.run.directory import RunDirectory
from runner.run.session import JobDescription
from runner.run.status import Status, read_status
from runner.sweeps.search import judge
from runner.sweeps.search.pruning import Pruning
from runner.training.callback import Callback, Fit
from runner.training.result import Result
from tests.sweeps.search.studies import judged_by, scores_in, study_of
from tests.training.harness import (
    StopAt,
    final_state,
    journal_of,
    same,
    tiny_options,
    tiny_parts,
    train,
)

GOOD = [{1: 0.01, 2: 0.01, 3: 0.01}] * 2  # losses that the tiny training never reaches
BAD = [{1: 99.0, 2: 99.0, 3: 99.0}] * 2
OPTIONS = tiny_options()  # evaluates after steps 6, 12 and 18, the last


class Ends(Callback):
    outcome = ""
    hears_a_stop = False

    def on_fit_end(self, fit: Fit, outcome: str) -> None:
        self.outcome = outcome
        if self.hears_a_stop:
            signal.raise_signal(signal.SIGTERM)


def train_judged(
    path: Path, pruning: Pruning, options: Options = OPTIONS, **changes: Any
) -> Result:
    return fit(
        Job(
            directory=RunDirectory(path),
            description=JobDescription(name="tiny", config={}, overrides=[], command=[]),
            build=lambda ranks: with_pruning(tiny_parts(options, ranks=ranks, **changes), pruning),
            trackers={},
        )
    )


def status_of(path: Path) -> Status:
    status = read_status(RunDirectory(path))
    assert status is not None
    return status


def evaluated_steps(path: Path) -> list[int]:
    return [step for step, _, split, _ in journal_of(path) if split == "evaluation"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study.log"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_a_run_that_falls_behind_ends_after_an_evaluation(run: Path, study: Path) -> None:
    pruning, ends = judged_by(study_of(study, GOOD), study), Ends()
    result = train_judged(run, pruning, callbacks={"ends": ends})
    status = status_of(run)
    assert (status.state, status.step, status.best_step, status.error) == ("pruned", 6, 6, None)
    assert result.is_pruned and result.score == status.score == scores_in(pruning)[1]
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step_00000006"]
    assert {split for _, _, split, _ in journal_of(run)} == {"train", "evaluation"}, "no test"
    assert ends.outcome == "pruned"
    assert "pruned score=" in (run / "logs" / "rank_0.log").read_text()


def test_a_stop_at_the_very_end_leaves_a_pruned_run_pruned(run: Path, study: Path) -> None:
    ends = Ends()
    ends.hears_a_stop = True
    train_judged(run, judged_by(study_of(study, GOOD), study), callbacks={"ends": ends})
    assert status_of(run).state == "pruned"


@pytest.mark.parametrize(
    ("warmup", "steps"),
    [("2 evaluations", [6, 12]), ("7 steps", [6, 12]), ("1 epoch", [6]), (None, [6])],
)
def test_no_run_is_ended_before_the_warm_up(
    run: Path, study: Path, warmup: str | None, steps: list[int]
) -> None:
    pruning = judged_by(study_of(study, GOOD), study, warmup=warmup)
    train_judged(run, pruning)
    assert status_of(run).state == "pruned"
    assert evaluated_steps(run) == steps
    assert list(scores_in(pruning)) == list(range(1, len(steps) + 1)), "told all the same"


def test_weights_that_were_not_trained_yet_are_not_judged(run: Path, study: Path) -> None:
    pruning = judged_by(study_of(study, GOOD), study)
    train_judged(run, pruning, tiny_options(evaluate_at_start=True))
    assert evaluated_steps(run) == [0, 6]


@pytest.mark.parametrize(("others", "warmup"), [(BAD, None), (GOOD, "3 evaluations")])
def test_a_run_that_is_as_good_or_at_its_end_completes(
    run: Path, study: Path, others: list[dict[int, float]], warmup: str | None
) -> None:
    pruning = judged_by(study_of(study, others), study, warmup=warmup)
    result = train_judged(run, pruning)
    assert status_of(run).state == "completed" and not result.is_pruned
    values = [values["loss"] for _, _, split, values in journal_of(run) if split == "evaluation"]
    assert scores_in(pruning) == dict(enumerate(values, 1))


def test_a_larger_score_is_better_with_max(run: Path, study: Path) -> None:
    options = tiny_options(best_metric="evaluation.accuracy", best_mode="max")
    pruning = judged_by(study_of(study, [{1: 2.0, 2: 2.0}], mode="max"), study)
    assert train_judged(run, pruning, options).is_pruned
    low = study.with_name("low.log")
    pruning = judged_by(study_of(low, [{1: -1.0, 2: -1.0}], mode="max"), low)
    assert not train_judged(run.parent / "other", pruning, options).is_pruned


def test_a_pruned_run_that_is_resumed_by_hand_trains_on(tmp_path: Path, study: Path) -> None:
    straight, pruned = tmp_path / "straight", tmp_path / "pruned"
    train(straight, OPTIONS)
    assert train_judged(pruned, judged_by(study_of(study, GOOD), study)).is_pruned
    train(pruned, OPTIONS)
    assert status_of(pruned).state == "completed"
    assert journal_of(pruned) == journal_of(straight)
    assert same(final_state(pruned), final_state(straight))


def test_judging_changes_no_bit_of_the_training(tmp_path: Path, study: Path) -> None:
    straight, judged = tmp_path / "straight", tmp_path / "judged"
    train(straight, OPTIONS)
    train_judged(judged, judged_by(study_of(study, BAD), study))
    assert journal_of(judged) == journal_of(straight)
    assert same(final_state(judged), final_state(straight))


def test_a_resumed_run_reports_once(run: Path, study: Path) -> None:
    """Without checkpoints it begins again; warnings are errors here."""
    options = replace(OPTIONS, checkpoint=CheckpointOptions(enabled=False))
    pruning = judged_by(study_of(study, BAD), study)
    with pytest.raises(Interrupted):
        train_judged(run, pruning, options, callbacks={"stop": StopAt(13)})
    first, lines = scores_in(pruning), len(study.read_bytes().splitlines())
    assert list(first) == [1, 2]
    train_judged(run, pruning, options)
    assert len(study.read_bytes().splitlines()) == lines + 1
    assert {number: scores_in(pruning)[number] for number in (1, 2)} == first


def test_a_run_that_was_told_meanwhile_trains_on(run: Path, study: Path) -> None:
    others = study_of(study, GOOD)
    pruning = judged_by(others, study)
    others.tell(pruning.trial, "fail")
    assert not train_judged(run, pruning).is_pruned
    assert "cannot be reached" not in (run / "logs" / "rank_0.log").read_text()


@pytest.mark.parametrize("fault", ["gone", "damaged", "locked", "no file"])
def test_a_study_that_cannot_be_reached_ends_no_training(
    run: Path, study: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruning = judged_by(study_of(study, GOOD), study)
    monkeypatch.setattr(judge, "_PATIENCE_SECONDS", 0.05)
    with study.with_name(".study.log.lock").open("w") as lock:
        if fault == "locked":
            fcntl.flock(lock, fcntl.LOCK_EX)
        elif fault == "damaged":
            study.write_bytes(b"\0" * 5000 + b"\n")
        else:
            study.unlink()
            if fault == "no file":
                study.mkdir()
        assert not train_judged(run, pruning).is_pruned
    assert status_of(run).state == "completed"
    assert (run / "logs" / "rank_0.log").read_text().count("cannot be reached") == 1
    assert study.exists() == (fault != "gone")


def test_a_score_of_training_cannot_be_judged(run: Path, study: Path) -> None:
    pruning = judged_by(study_of(study, GOOD), study)
    with pytest.raises(ConfigError, match="judges a run at its evaluations"):
        train_judged(run, pruning, tiny_options(best_metric="train.loss"))


@pytest.mark.parametrize(
    "trainer",
    [
        {},
        {"evaluate_at_start": True},
        {"evaluate_every": "4 steps"},
        {"evaluate_every": "2 epochs", "gradient_accumulation_steps": 4},
        {"evaluate_every": None, "max_epochs": 1},
        {"max_steps": 8, "evaluate_at_end": False},
        {"max_steps": 8, "max_epochs": None},
    ],
)
def test_the_planned_evaluations_are_those_that_are_made(run: Path, trainer: Any) -> None:
    options = tiny_options(**trainer)
    train(run, options)
    assert planned_evaluations(tiny_parts(options)) == len(evaluated_steps(run))


@pytest.mark.parametrize("num_processes", [1, 2])
def test_an_ordered_job_that_is_pruned_has_done_well(
    run: Path, study: Path, num_processes: int
) -> None:
    cfg = compose(
        [
            "+experiment=digits",
            f"hardware.num_processes={num_processes}",
            "hardware.threads=1",
            "trainer.max_epochs=4",
            "trainer.hang_timeout=1 minutes",
            "trackers=none",
            "callbacks=none",
        ]
    )
    pruning = judged_by(study_of(study, GOOD), study, warmup="2 epochs")
    job = OrderedJob(config=freeze(cfg), path=run, overrides=(), command=(), pruning=pruning)
    assert job() == 0
    assert (status_of(run).state, status_of(run).jobs) == ("pruned", 1)
    assert list(scores_in(pruning)) == [1, 2]
    assert len(evaluated_steps(run)) == 2

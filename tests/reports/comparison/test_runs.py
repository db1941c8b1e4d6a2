"""The sides of a comparison: which values count, and which is better."""

import math

import pytest

from runner.reports.comparison.runs import ComparedRun, Side, mode_of
from runner.run.journal import Row
from tests.sweeps.runs import CODE


def run_of(score: float, *, seed: int | None = 1, state: str = "completed") -> ComparedRun:
    row = Row(step=10, epoch=1.0, time=0.0, split="evaluation", values={"loss": score})
    return ComparedRun(
        name="run",
        path=f"run_{score}",
        state=state,
        step=10,
        config={} if seed is None else {"seed": seed},
        overrides=[],
        code=CODE,
        surroundings={},
        metric="evaluation.loss",
        mode="min",
        score=score,
        best_step=10,
        rows=[row],
    )


def values_of(*runs: ComparedRun) -> list[tuple[object, float]]:
    return Side(label="A", runs=runs).values("evaluation.loss")


@pytest.mark.parametrize("state", ["failed", "running", "preempted", "lost", "pruned"])
def test_a_run_that_was_not_trained_to_its_end_does_not_count(state: str) -> None:
    assert values_of(run_of(0.5), run_of(0.1, seed=2, state=state)) == [(1, 0.5)]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_does_not_count(score: float) -> None:
    assert values_of(run_of(0.5), run_of(score, seed=2)) == [(1, 0.5)]


def test_runs_of_one_seed_count_once_with_their_mean() -> None:
    runs = [run_of(0.25), run_of(0.5, seed=2), run_of(0.75)]
    assert values_of(*runs) == [(1, 0.5), (2, 0.5)]
    assert values_of(run_of(0.25, seed=None), run_of(0.5, seed=None)) == [(None, 0.25), (None, 0.5)]


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("power", None),
        ("answer", None),
        ("gloss", None),
        ("wer", "min"),
        ("val_wer", "min"),
        ("top1-error", "min"),
        ("char_accuracy", "max"),
        ("exact_match", "max"),
    ],
)
def test_a_name_tells_by_whole_words_which_is_better(name: str, mode: str | None) -> None:
    assert mode_of(f"evaluation.{name}", [Side(label="A", runs=[run_of(0.5)])]) == mode

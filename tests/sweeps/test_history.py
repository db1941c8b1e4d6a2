"""How runs came to their scores, from their own files."""

from pathlib import Path

import pytest

from runner.run.source.difference import describe_code
from runner.run.status import Status
from runner.sweeps.history import history_of, limits_text
from runner.sweeps.summary import summarize
from tests.sweeps.sweep_directories import begin, config_of, done, plan


def test_it_has_the_curve_and_the_values_at_the_best_step(tmp_path: Path) -> None:
    sweep = plan(tmp_path, [["seed=1"]])
    curve = [(10, 0.9), (90, 0.4), (100, 0.5)]
    directory = begin(sweep, 0, done(0.4), curve=curve)
    directory.journal.write_text(
        directory.journal.read_text()
        .replace('"loss": 0.4', '"loss": 0.4, "cer": 0.07')
        .replace('"loss": 0.5', '"loss": 0.5, "cer": 0.01')
    )
    (row,) = summarize(sweep).rows
    history = history_of(row, metric="evaluation.loss", others=["evaluation.cer", "train.x"])
    assert history.curve == curve
    assert history.values == {"evaluation.cer": 0.07}
    assert history.code == ["commit abc1234abc12"]
    assert history.limits == {"max_steps": 100}
    assert history.seconds == pytest.approx(50.0, abs=5.0)
    assert history.problem is None


@pytest.mark.parametrize(("best_step", "value"), [(20, 0.7), (25, 0.7), (30, 0.6), (5, 0.6)])
def test_values_are_those_of_the_weights_that_stay(
    tmp_path: Path, best_step: int, value: float
) -> None:
    """As a search counts them; what came only later, such as a test, counts as it was last."""
    sweep = plan(tmp_path, [["seed=1"]])
    begin(sweep, 0, done(0.4, best_step=best_step), curve=[(10, 0.8), (20, 0.7), (30, 0.6)])
    (row,) = summarize(sweep).rows
    history = history_of(row, metric="evaluation.x", others=["evaluation.loss"])
    assert history.values == {"evaluation.loss": value}


def test_the_limits_are_those_of_the_config_as_it_was_last_used(tmp_path: Path) -> None:
    sweep = plan(tmp_path, [["seed=1"]])
    begin(sweep, 0, done(0.4), config=config_of(["seed=1"], max_steps=250, max_epochs=3))
    (row,) = summarize(sweep).rows
    limits = history_of(row, metric="evaluation.loss").limits
    assert limits_text(limits) == "trainer.max_epochs=3 trainer.max_steps=250"


def test_a_run_that_has_not_begun_has_no_history(tmp_path: Path) -> None:
    (row,) = summarize(plan(tmp_path, [["seed=1"]])).rows
    history = history_of(row, metric="evaluation.loss")
    assert (history.curve, history.problem, history.seconds) == ([], None, None)


def test_a_damaged_file_is_told_and_not_raised(tmp_path: Path) -> None:
    sweep = plan(tmp_path, [["seed=1"]])
    begin(sweep, 0, Status(state="completed", jobs=1)).journal.write_text("{]\n")
    (row,) = summarize(sweep).rows
    assert "run 0 cannot be read" in (history_of(row, metric="evaluation.loss").problem or "")


def test_two_diffs_on_one_commit_are_two_states_of_the_code() -> None:
    clean, first, second = ({"commit": "a" * 40, "diff": diff} for diff in ("", "x", "y"))
    described = [describe_code(code) for code in (clean, first, second)]
    assert len(set(described)) == 3
    assert described[0] == "commit aaaaaaaaaaaa"
    assert describe_code({"commit": None, "diff": None}) == "in no git repository"

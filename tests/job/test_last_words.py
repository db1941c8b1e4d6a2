from pathlib import Path

import pytest

from runner.job.last_words import last_words
from runner.run.directory import RunDirectory
from runner.training.result import Result

CONFIG = {"trainer": {"best_metric": "evaluation.loss"}}
SCORED = {"step": 300, "score": 0.42361234567, "best_step": 200}


def test_the_end_tells_the_best_the_place_and_what_shows_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = RunDirectory(tmp_path / "my run")
    assert last_words(Result(**SCORED), directory, CONFIG) == (
        "done evaluation.loss=0.4236 (best, step 200)  'my run'  "
        "more of it: python -m runner report 'my run'"
    )
    unscored = Result(**SCORED | {"score": None, "best_step": None})
    assert last_words(unscored, directory, CONFIG).startswith("done  'my run'  more")


def test_a_run_of_a_sweep_or_a_pruned_one_names_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/sweep.json").touch()
    said = last_words(Result(**SCORED), RunDirectory(tmp_path / "sweep/3"), CONFIG)
    assert said == "done evaluation.loss=0.4236 (best, step 200)  sweep/3"
    pruned = last_words(Result(**SCORED, is_pruned=True), RunDirectory(tmp_path / "one"), CONFIG)
    assert pruned == "pruned evaluation.loss=0.4236 (best, step 200)  one"


def test_a_run_that_is_not_below_has_a_path_that_is_right_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code").mkdir()
    monkeypatch.chdir(tmp_path / "code")
    said = last_words(Result(**SCORED), RunDirectory(tmp_path / "run"), CONFIG)
    assert said.endswith(f"more of it: python -m runner report {tmp_path / 'run'}")

from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import ConfigError, RunError
from runner.run.evaluations import (
    Evaluation,
    check_name,
    commit,
    default_name,
    new_evaluation,
    read_evaluation,
    read_evaluations,
    refuse_taken,
)

FOUND = Evaluation(
    name="test",
    split="test",
    step=8,
    time=1.0,
    overrides=[],
    values={"loss": float("nan"), "cer": 0.1},
    num_samples=3,
)


def keep(folder: Path, evaluation: Evaluation, *, is_name_given: bool = False) -> tuple[str, bool]:
    with new_evaluation(folder) as partial:
        (partial / "predictions.csv").write_text("sample\n", encoding="utf-8")
        final, is_new = commit(partial, evaluation, is_name_given=is_name_given)
    return final.name, is_new


def test_it_is_read_back_and_the_same_again_is_not_kept_twice(tmp_path: Path) -> None:
    assert keep(tmp_path, FOUND) == ("test", True)
    assert keep(tmp_path, replace(FOUND, time=2.0)) == ("test", False)
    (read,) = read_evaluations(tmp_path)
    assert read.finds_the_same_as(FOUND) and read.time == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["test"]


def test_no_result_replaces_another(tmp_path: Path) -> None:
    other, third = replace(FOUND, step=9), replace(FOUND, num_samples=4)
    names = [keep(tmp_path, evaluation) for evaluation in (FOUND, other, third, other)]
    assert names == [("test", True), ("test_2", True), ("test_3", True), ("test_2", False)]
    assert read_evaluation(tmp_path / "test_2").name == "test_2"
    with pytest.raises(ConfigError, match="is there already, with other results"):
        keep(tmp_path, replace(FOUND, step=10), is_name_given=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test", "test_2", "test_3"]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), new_evaluation(tmp_path / "evaluations") as partial:
        (partial / "predictions.csv").touch()
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "evaluation.night"),
        ({"step": 40}, "evaluation.night_step_40"),
        ({"overrides": ["task.beam_width=8", "data=other"]}, "evaluation.night_beam_width_8_data"),
        ({"overrides": ["data.root=/data/real plates/"]}, "evaluation.night_root_data_real_plates"),
        ({"overrides": ["+data.where.region=IR"]}, "evaluation.night_region_IR"),
    ],
)
def test_a_name_says_what_is_special(options, expected: str) -> None:
    name = default_name("evaluation.night", **options)
    assert name.startswith(expected)
    check_name(name)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "..", "a b"])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match="--name"):
        check_name(name)


def test_a_damaged_or_newer_one_is_told(tmp_path: Path) -> None:
    keep(tmp_path, FOUND)
    record = tmp_path / "test" / "evaluation.json"
    record.write_text(record.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(RunError, match="has format 2, and this runner knows 1"):
        read_evaluations(tmp_path)
    record.write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        read_evaluations(tmp_path)


def test_where_it_was_computed_makes_no_new_one(tmp_path: Path) -> None:
    keep(tmp_path, FOUND)
    near = {"loss": float("nan"), "cer": 0.1 * (1 + 1e-5)}
    elsewhere = replace(FOUND, how=["hardware.device=cuda"], values=near)
    assert keep(tmp_path, elsewhere) == ("test", False)
    assert keep(tmp_path, replace(FOUND, values=near)) == ("test_2", True)  # the same must be equal
    far = {"loss": 0.5, "cer": 0.1}
    assert keep(tmp_path, replace(elsewhere, values=far)) == ("test_3", True)


def test_a_name_of_another_question_is_refused_at_once(tmp_path: Path) -> None:
    keep(tmp_path, FOUND)
    refuse_taken(tmp_path, replace(FOUND, values={}, num_samples=None))
    for other in (replace(FOUND, step=9), replace(FOUND, overrides=["task.beam_width=4"])):
        with pytest.raises(ConfigError, match="is there already, with other results"):
            refuse_taken(tmp_path, other)

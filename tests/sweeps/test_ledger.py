"""The ledger of a sweep."""

from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import RunError
from runner.sweeps.ledger import Combination, Ledger, read_ledger


def combination(key: str) -> Combination:
    return Combination(key=key, overrides=(f"x={key}",), config={"x": key, "nested": {"y": [1]}})


def test_numbers_are_given_once_and_stay(tmp_path: Path) -> None:
    path = tmp_path / "sweep" / "ledger.jsonl"
    first = Ledger(path).add([combination("a"), combination("b")])
    again = Ledger(path).add([combination("c"), combination("b"), combination("a")])
    assert [run.number for run in first] == [0, 1]
    assert [run.number for run in again] == [2, 1, 0]
    assert [run.key for run in read_ledger(path)] == ["a", "b", "c"]
    assert read_ledger(path)[1] == first[1]


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_that_a_kill_tore_is_no_run(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path).add([combination("a"), combination("b")])
    path.write_bytes(path.read_bytes()[:-cut])
    left = [run.key for run in read_ledger(path)]
    assert left == ["a"]
    assert [run.number for run in Ledger(path).add([combination("c")])] == [1]
    assert [run.key for run in read_ledger(path)] == ["a", "c"]


def test_damage_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path).add([combination("a"), combination("b")])
    path.write_text(path.read_text().replace('"number": 1', '"nummer": 1'))
    with pytest.raises(RunError, match="damaged at line 2"):
        read_ledger(path)


def test_configs_are_replaced_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    (run, other) = ledger.add([combination("a"), combination("b")])
    ledger.replace([replace(run, config={"x": 2})])
    assert read_ledger(path) == [replace(run, config={"x": 2}), other]


def test_a_folder_that_is_no_run_of_the_ledger_keeps_its_number(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "2").mkdir()
    added = Ledger(tmp_path / "ledger.jsonl").add([combination("a"), combination("b")])
    assert [run.number for run in added] == [1, 3]

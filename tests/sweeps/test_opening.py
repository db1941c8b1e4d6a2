"""Finding the directory of a sweep."""

from pathlib import Path
from typing import Any

import pytest

from runner.errors import ConfigError
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.identity import sweep_key
from runner.sweeps.opening import (
    change_of_code,
    changed_since,
    check_same_sweep,
    place_of,
    sweep_name,
)
from runner.sweeps.record import SweepRecord, read_record, start_entry, write_record

BASE = {"seed": 0, "optimizer": {"lr": 0.1, "decay": 0.0}, "trainer": {"max_epochs": 5}}


def record(swept: list[str] | None = None, **changes: dict[str, Any]) -> SweepRecord:
    base = {**BASE, **changes}
    swept = swept or ["optimizer.lr"]
    return SweepRecord(
        key=sweep_key(base, swept=swept), name="n", swept=swept, base=base, arguments=["a=1,2"]
    )


def test_a_name_says_what_is_swept() -> None:
    assert sweep_name("0123456789", ["optimizer.lr", "seed"]) == "lr-seed_01234567"
    assert sweep_name("0123456789", []) == "sweep_01234567"


def test_the_newest_of_a_name_goes_on_and_fresh_begins_the_next(tmp_path: Path) -> None:
    for name in ("s", "s_2"):
        assert place_of(tmp_path, "s", fresh=True).path == tmp_path / name
        write_record(SweepDirectory(tmp_path / name), record())
        assert place_of(tmp_path, "s", fresh=False).path == tmp_path / name


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    directory = SweepDirectory(tmp_path)
    written = record()
    written.starts.append(start_entry(command=["c"], code={"commit": "x", "diff": None}))
    write_record(directory, written)
    assert read_record(directory) == written


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (record(optimizer={"lr": 0.1, "decay": 0.3}), "optimizer.decay=0.0 there, 0.3 here"),
        (record(["seed"]), "it varies optimizer.lr"),
        (record(trainer={"max_epochs": 9}), "resume {} trainer.max_epochs=9"),
    ],
)
def test_another_sweep_in_the_same_place_is_refused(
    tmp_path: Path, new: SweepRecord, words: str
) -> None:
    directory = SweepDirectory(tmp_path)
    check_same_sweep(directory, new)  # nothing is there
    write_record(directory, record())
    check_same_sweep(directory, record())
    with pytest.raises(ConfigError) as error:
        check_same_sweep(directory, new)
    assert words.format(tmp_path) in str(error.value)


def test_a_config_edited_behind_the_same_overrides_is_told(tmp_path: Path) -> None:
    write_record(SweepDirectory(tmp_path / "old"), record())
    edited = record(optimizer={"lr": 0.1, "decay": 0.3})
    told = changed_since(tmp_path, SweepDirectory(tmp_path / "new"), edited)
    assert told is not None and "optimizer.decay=0.0 there, 0.3 here" in told
    assert str(tmp_path / "old") in told
    edited.arguments = ["another"]
    assert changed_since(tmp_path, SweepDirectory(tmp_path / "new"), edited) is None


def test_a_change_of_code_is_told() -> None:
    sweep, code = record(), {"commit": "x", "diff": None}
    assert change_of_code(sweep, code) is None
    sweep.starts.append(start_entry(command=[], code=code))
    assert change_of_code(sweep, dict(code)) is None
    assert "CODE HAS CHANGED" in (change_of_code(sweep, {"commit": "x", "diff": "+"}) or "")

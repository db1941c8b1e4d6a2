import hashlib
from pathlib import Path
from typing import Any

import pytest

from runner.run.provenance import facts_of_process
from runner.run.surroundings import changed_data, changes, environment_of_then, pip_command


@pytest.fixture
def now() -> dict[str, Any]:
    return facts_of_process()


def test_the_same_process_has_not_changed(now: dict[str, Any]) -> None:
    assert changes(now, now) == []
    assert pip_command([]) is None


def test_every_kind_of_change_is_told_and_pip_gets_the_packages(now: dict[str, Any]) -> None:
    then = {
        **now,
        "versions": {**now["versions"], "python": "3.9.1"},
        "packages": {**now["packages"], "torch": "1.0", "gone-one": "2.0"},
        "machine": {**now["machine"], "host": "other", "gpus": ["H200"]},
        "environment": {"OMP_NUM_THREADS": "77", "RUNNER_OUTPUT_DIR": "/elsewhere"},
    }
    found = changes(then, {**now, "environment": {}})
    told = {(one.kind, one.name): (one.then, one.now) for one in found}
    assert told == {
        ("version", "python"): ("3.9.1", now["versions"]["python"]),
        ("package", "torch"): ("1.0", now["packages"]["torch"]),
        ("package", "gone-one"): ("2.0", None),
        ("machine", "gpus"): ("H200", "none"),
        ("environment", "OMP_NUM_THREADS"): ("77", None),
    }
    assert pip_command(found) == "pip install torch==1.0 gone-one==2.0"


def test_an_early_run_is_compared_as_far_as_it_knows(now: dict[str, Any]) -> None:
    then = {"versions": {**now["versions"], "torch": "1.0"}, "machine": {"host": "x"}}
    (change,) = changes(then, now)
    assert (change.name, change.then) == ("torch", "1.0")


def test_variables_that_change_results_are_as_they_were_and_places_are_not() -> None:
    then = {"environment": {"OMP_NUM_THREADS": "2", "RUNNER_OUTPUT_DIR": "/then"}}
    then["environment"]["TORCHELASTIC_USE_AGENT_STORE"] = "True"
    now = {"MKL_NUM_THREADS": "9", "RUNNER_OUTPUT_DIR": "/now", "HOME": "/me", "HF_TOKEN": "t"}
    assert environment_of_then(then, now) == {
        "OMP_NUM_THREADS": "2",
        "RUNNER_OUTPUT_DIR": "/now",
        "HOME": "/me",
        "HF_TOKEN": "t",
    }
    assert environment_of_then({}, now) == now


def test_variables_that_no_run_writes_down_are_not_taken_from_its_file() -> None:
    then = {"environment": {"PYTHONPATH": "/evil", "LD_PRELOAD": "/evil.so", "HF_TOKEN": "theirs"}}
    assert environment_of_then(then, {"HOME": "/me"}) == {"HOME": "/me"}


def test_data_is_compared_by_size_and_hash(tmp_path: Path) -> None:
    for name in ("same", "longer", "other"):
        (tmp_path / name).write_text("abc")
    facts = {"bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
    (tmp_path / "longer").write_text("abcd")
    (tmp_path / "other").write_text("xyz")
    left_out = dict.fromkeys(("same", "longer", "other", "gone"), facts)
    found = changed_data(tmp_path, {**left_out, "...": "7 more"})
    assert [(one.name, one.now) for one in found] == [
        ("longer", "4 bytes"),
        ("other", "other content"),
        ("gone", None),
    ]

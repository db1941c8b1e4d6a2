"""The config of a run, of which no more is read than is asked for."""

from pathlib import Path
from typing import Any

import pytest

from runner.config.written import read_config, to_yaml
from runner.errors import RunError
from runner.run.config_values import ABSENT, ConfigValues

CONFIG: dict[str, Any] = {
    "model": {"size": "${task.count}", "layers": [1, 2], "deep": {"a": {"b": None}}},
    "task": {"count": 10, "text": "two\n\nlines: x\n"},
    "tags": ["one", "two"],
    "loop": "${loop}",
    "seed": 3,
}


@pytest.fixture
def values(tmp_path: Path) -> ConfigValues:
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml({key: value for key, value in CONFIG.items() if key != "loop"}))
    path.write_text(path.read_text() + "loop: ${loop}\n")
    return ConfigValues(path)


def test_each_value_is_that_of_the_whole_file(values: ConfigValues, tmp_path: Path) -> None:
    whole = read_config(tmp_path / "config.yaml")
    assert values.get("model.layers") == whole["model"]["layers"]
    assert values.get("model.deep") == {"a": {"b": None}}
    assert values.get("model.deep.a.b") is None
    assert values.get("task.text") == whole["task"]["text"]
    assert values.get("tags") == ["one", "two"] and values.get("seed") == 3
    assert "model.deep.a.b" in values.keys and "tags" in values.keys


def test_what_stands_for_another_key_is_followed_but_not_for_ever(values: ConfigValues) -> None:
    assert values.get("model.size") == 10
    assert values.get("loop") == "${loop}"


def test_what_is_not_there_is_absent(values: ConfigValues, tmp_path: Path) -> None:
    assert values.get("model.none") is ABSENT and values.get("seed.deeper") is ABSENT
    assert ConfigValues(tmp_path / "nothing.yaml").get("seed") is ABSENT


def test_a_damaged_section_is_told_and_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("bad:\n  x: [1\nseed: 5\n")
    values = ConfigValues(path)
    assert values.get("seed") == 5
    with pytest.raises(RunError, match="is damaged"):
        values.get("bad.x")

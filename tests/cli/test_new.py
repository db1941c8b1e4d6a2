from pathlib import Path

import pytest

from runner.cli.new import new_project
from runner.errors import ConfigError, RunError


def test_a_project_is_called_by_its_name_everywhere(tmp_path: Path) -> None:
    folder = new_project("my_curves", tmp_path)
    assert folder == tmp_path / "my_curves"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "my_curves/__init__.py",
        "my_curves/data.py",
        "my_curves/model.py",
        "my_curves/task.py",
        "conf/data/my_curves.yaml",
        "conf/model/my_curves.yaml",
        "conf/task/my_curves.yaml",
        "conf/experiment/my_curves.yaml",
        "tests/test_my_curves.py",
    }
    assert not any("project_name" in (folder / file).read_text() for file in files)
    assert [path.name for path in tmp_path.iterdir()] == ["my_curves"]


def test_the_readme_is_short(tmp_path: Path) -> None:
    lines = (new_project("my_curves", tmp_path) / "README.md").read_text().splitlines()
    assert len(lines) <= 10


@pytest.mark.parametrize("name", ["my-curves", "1curve", "class", "a/b", "", "my curves"])
def test_a_name_that_no_package_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a Python package"):
        new_project(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["torch", "runner", "json", "conf", "tests"])
def test_a_name_that_is_taken_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is the name of something else"):
        new_project(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "my_curves").mkdir()
    with pytest.raises(RunError, match="is there already"):
        new_project("my_curves", tmp_path)
    assert not list((tmp_path / "my_curves").iterdir())


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        new_project("my_curves", file)

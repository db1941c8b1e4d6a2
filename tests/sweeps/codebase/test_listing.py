from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from runner.errors import ConfigError
from runner.sweeps.codebase.listing import files_of_code, repository_around
from tests.sweeps.codebase.repositories import git, make_repository, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {"net.py": "", "pkg/__init__.py": "", "gone.py": "", ".gitignore": "*.log\nmade_*\n"}
    return make_repository(tmp_path / "own", files)


def test_tracked_and_new_files_are_code_and_deleted_and_ignored_ones_are_not(root: Path) -> None:
    (root / "gone.py").unlink()
    write(root / "new" / "loss é\n.py")
    write(root / "net.log")
    assert files_of_code(root) == [".gitignore", "net.py", "new/loss é\n.py", "pkg/__init__.py"]


def test_modules_that_git_ignores_beside_others_are_code(root: Path) -> None:
    extension = f"pkg/made_c{EXTENSION_SUFFIXES[0]}"
    for name in ("pkg/made_version.py", extension, "pkg/made_notes.txt", "made_venv/x.py"):
        write(root / name)
    names = files_of_code(root)
    assert {"pkg/made_version.py", extension} < set(names)
    assert not {"pkg/made_notes.txt", "made_venv/x.py"} & set(names)


def test_runs_sweeps_environments_and_named_folders_are_no_code(root: Path) -> None:
    before = files_of_code(root)
    for name in (
        "out/a/run.json",
        "out/a/config.yaml",
        "out/a/logs/deep/rank_0.log.txt",
        "out/s/sweep.json",
        "out/s/slurm/code/files/net.py",
        "env/pyvenv.cfg",
        "env/lib/x.py",
        "data/big.bin",
    ):
        write(root / name)
    assert files_of_code(root, without=[root / "data"]) == before
    assert files_of_code(root) == sorted([*before, "data/big.bin"])


def test_a_tracked_run_is_code(root: Path) -> None:
    write(root / "example" / "run.json")
    write(root / "example" / "config.yaml")
    git(root, "add", "-A")
    assert {"example/run.json", "example/config.yaml"} < set(files_of_code(root))


def test_submodules_and_repositories_inside_are_code(root: Path, tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "inner", {"inner.py": ""})
    other = make_repository(tmp_path / "other", {"sub/other.py": ""})
    git(inner, "submodule", "add", "-q", str(other), "deeper")
    git(inner, "commit", "-qm", "more")
    git(root, "submodule", "add", "-q", str(inner), "lib")
    git(root, "submodule", "update", "-q", "--init", "--recursive")
    write(root / "lib" / "edited.py")
    make_repository(root / "cloned", {"cloned.py": ""})
    expected = {
        "lib/inner.py",
        "lib/edited.py",
        "lib/deeper/sub/other.py",
        "cloned/cloned.py",
    }
    names = files_of_code(root)
    assert expected < set(names) and not any("/.git/" in name for name in names)


def test_a_submodule_that_is_not_checked_out_has_no_files(root: Path, tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "inner", {"inner.py": ""})
    git(root, "submodule", "add", "-q", str(inner), "lib")
    git(root, "submodule", "deinit", "-f", "lib")
    assert not [name for name in files_of_code(root) if name.startswith("lib")]


def test_without_a_repository_the_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"git repository around {tmp_path}: git: .*git init"):
        repository_around(tmp_path)


def test_without_git_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no git"):
        repository_around(tmp_path)

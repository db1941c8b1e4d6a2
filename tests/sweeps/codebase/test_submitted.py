import subprocess
import sys
import sysconfig
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

import pytest

import runner
from runner.sweeps.codebase import submitted
from runner.sweeps.codebase.snapshot import take_snapshot
from runner.sweeps.codebase.submitted import SubmittedCode, leave_code
from tests.sweeps.codebase.repositories import make_repository, write


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "flat_a.py": "",
        "queue.py": "a name of Python's own",
        "src/pkg/__init__.py": "",
        "src/pkg/inner.py": "",
        "lib/hooked/__init__.py": "",
        ".gitignore": "venv/\n",
    }
    root = make_repository(tmp_path / "own", files)
    write(root / "venv" / "site-packages" / "x.py")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def code(root: Path, tmp_path: Path) -> SubmittedCode:
    return take_snapshot(tmp_path / "slurm")


def test_folders_of_the_repository_become_those_of_the_snapshot(
    root: Path, code: SubmittedCode, tmp_path: Path
) -> None:
    (tmp_path / "alias").symlink_to(root)
    entries = {
        "": code.files,
        str(root): code.files,
        str(root / "src"): code.files and code.files / "src",
        str(tmp_path / "alias" / "src"): code.files and code.files / "src",
        str(root / "venv" / "site-packages"): root / "venv" / "site-packages",  # ignored
        str(tmp_path): tmp_path,
        "__editable__.finder.__path_hook__": "__editable__.finder.__path_hook__",
    }
    for entry, expected in entries.items():
        assert code.path_for([entry]) == (str(expected),), entry
    assert code.path_for(list(entries)) == tuple(dict.fromkeys(map(str, entries.values())))


def test_without_a_snapshot_the_path_is_what_it_is(root: Path, tmp_path: Path) -> None:
    code = leave_code(tmp_path / "slurm")
    path = ["", "src", "__editable__.finder.__path_hook__"]
    assert code.path_for(path) == (str(root), str(root / "src"), path[2])
    assert leave_code(tmp_path / "slurm") == code
    write(root / "flat_a.py", "x = 1")
    assert leave_code(tmp_path / "slurm").record != code.record, "queued jobs keep theirs"


class Hook:
    """As an editable install puts it into sys.meta_path."""

    def __init__(self, package: Path) -> None:
        self.package = package

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        if name != self.package.name:
            return None
        return spec_from_file_location(name, self.package / "__init__.py")


def test_what_an_import_hook_finds_in_the_repository_comes_from_the_snapshot_too(
    root: Path, code: SubmittedCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code.files is not None
    assert code.path_for(["/x"]) == ("/x",)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Hook(root / "lib" / "hooked")])
    assert code.path_for(["/x"]) == ("/x", str(code.files / "lib"))


def started(code: SubmittedCode, command: str, path: list[str], **environment: str) -> str:
    """Run Python as a job's script does, in the current folder."""
    lines = [*code.setup_lines(path), f"{code.python} -c '{command}'"]
    script = "\n".join(lines)
    return subprocess.check_output(["bash", "-ec", script], text=True, env=environment).strip()


def test_a_job_that_starts_in_the_repository_imports_from_the_snapshot_alone(
    root: Path, code: SubmittedCode
) -> None:
    write(root / "src" / "pkg" / "__init__.py", "raise Exception")
    where = started(code, "import pkg; print(pkg.__file__)", [str(root / "src")])
    assert where == f"{code.files}/src/pkg/__init__.py"
    lost = 'try: import flat_a\nexcept ImportError: print("not found")'
    assert started(code, lost, ["/x"]) == "not found", "the folder it stands in is not searched"


def test_a_job_starts_with_pythons_own_modules_though_the_repository_has_others(
    root: Path, code: SubmittedCode
) -> None:
    where = started(code, "import queue; print(queue.__file__)", [str(root)])
    assert where.startswith(sysconfig.get_path("stdlib"))


def test_what_the_users_lines_have_put_on_the_path_stays(root: Path, code: SubmittedCode) -> None:
    show = 'import os; print(os.environ["PYTHONPATH"])'
    path = started(code, show, [str(root / "src")], PYTHONPATH="/theirs")
    assert path.endswith(f"{code.files}/src:/theirs")


@pytest.mark.parametrize("is_snapshot", [True, False])
def test_runner_itself_is_found_by_a_job_that_looks_nowhere_else(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_snapshot: bool
) -> None:
    """Here it lies in no site-packages; in its own repository it comes from the snapshot."""
    package = write(root / "src" / "runner" / "__init__.py", "name = 'mine'\n").parent
    monkeypatch.setattr(submitted.runner, "__file__", str(package / "__init__.py"))
    folder = tmp_path / "slurm"
    code = take_snapshot(folder) if is_snapshot else leave_code(folder)
    where = started(code, "import runner; print(runner.__file__)", ["/x"])
    assert where == str((code.files or root) / "src" / "runner" / "__init__.py")


def test_an_installed_runner_is_left_to_python(
    code: SubmittedCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(sysconfig.get_path("purelib"), "runner", "__init__.py")
    monkeypatch.setattr(runner, "__file__", str(place))
    assert len(code.setup_lines(["/x"])) == 1

import hashlib
import subprocess
from pathlib import Path

import pytest

from runner.errors import RunError
from runner.run.source import repository as module
from runner.run.source import untracked
from runner.run.source.checkout import copy_code, has_commit
from runner.run.source.repository import look_at_repository, patch_of, text_of
from runner.run.source.state import code_and_source, code_state
from tests.sweeps.codebase.repositories import git, make_repository, write

FIRST = {
    "plain.py": "a = 1\nb = 2\n",
    "crlf.py": "a = 1\r\nb = 2\r\n",
    "moved.py": "".join(f"line = {number}\n" for number in range(30)),
    "gone.py": "x = 1\n",
    "script.sh": "true\n",
    "deep/er/net.py": "layers = 1\n",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_repository(tmp_path / "own", FIRST)
    (root / "bytes.bin").write_bytes(bytes(range(256)))
    (root / "latin.py").write_bytes("# Gr\u00fc\u00dfe\n".encode("latin-1"))
    git(root, "add", "-A")
    git(root, "commit", "-qm", "bytes")
    monkeypatch.chdir(root)
    return root


def edit(root: Path, *, latin: bool = False) -> None:
    """Change everything that git can tell of."""
    (root / "plain.py").write_text("a = 1\nb = 3  \n\n\t\nno_newline = 1")
    (root / "crlf.py").write_bytes(b"a = 1\r\nb = 3\r\nc = 4")
    (root / "bytes.bin").write_bytes(bytes(range(255, -1, -1)))
    (root / "moved.py").rename(root / "new_name.py")
    git(root, "add", "new_name.py")
    (root / "gone.py").unlink()
    (root / "script.sh").chmod(0o755)
    (root / "link.py").symlink_to("plain.py")
    write(root / "deep/er/fresh.py", "untracked = True\n")
    write(root / "\u067e\u0644\u0627\u06a9 'odd' name.py", "x = 1\n")
    write(root / "__init__.py")
    if latin:
        (root / "latin.py").write_bytes("# Gr\u00fc\u00dfe \u00e9\n".encode("latin-1"))


def content(folder: Path) -> dict[str, tuple[object, bytes]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] != ".git" and (path.is_file() or path.is_symlink()):
            data = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            found[str(name)] = (path.is_symlink() or path.stat().st_mode & 0o100, data)
    return found


@pytest.mark.parametrize("latin", [False, True])
def test_a_copy_is_the_code_of_then_to_the_byte(root: Path, tmp_path: Path, latin: bool) -> None:
    edit(root, latin=latin)
    state, then = code_state(root), content(root)
    write(root / "plain.py", "edited since\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "later")
    before = content(root), git(root, "status", "--porcelain"), git(root, "worktree", "list")
    assert copy_code(root / "deep", tmp_path / "copy", code=state) == []
    assert content(tmp_path / "copy") == then
    assert before == (
        content(root),
        git(root, "status", "--porcelain"),
        git(root, "worktree", "list"),
    )


def test_looking_writes_nothing_into_the_repository(root: Path) -> None:
    edit(root)
    index = root / ".git" / "index"
    before = index.read_bytes(), sorted(path.name for path in (root / ".git").rglob("*"))
    assert look_at_repository(root) is not None
    assert before == (index.read_bytes(), sorted(path.name for path in (root / ".git").rglob("*")))


def test_no_setting_of_the_user_changes_the_patch(root: Path) -> None:
    edit(root)
    plain = code_state(root)
    for setting in (
        *("diff.noprefix=true", "color.ui=always", "diff.external=false", "diff.renames=false"),
        *("diff.context=0", "diff.algorithm=patience", "diff.submodule=log"),
    ):
        git(root, "config", *setting.split("="))
    assert code_state(root / "deep") == plain


def test_a_commit_on_no_branch_is_found(root: Path, tmp_path: Path) -> None:
    write(root / "plain.py", "a = 9\n")
    git(root, "commit", "-qam", "lost")
    state = code_state(root)
    git(root, "reset", "-q", "--hard", "HEAD~1")
    assert has_commit(root, state["commit"] or "")
    assert copy_code(root, tmp_path / "copy", code=state) == []
    assert (tmp_path / "copy/plain.py").read_text() == "a = 9\n"
    assert not has_commit(root, "ab" * 20)


def test_data_is_named_and_not_kept_and_runs_are_neither(root: Path) -> None:
    write(root / "labels.csv", "a,b\n")
    write(root / "outputs/x/run.json", "{}")
    write(root / "outputs/x/report.json", "{}")
    write(root / "venv/pyvenv.cfg")
    write(root / "venv/lib/module.py")
    write(root / ".gitignore", "ignored.py\n")
    write(root / "ignored.py", "x = 1\n")
    state, source = code_and_source()
    assert state["diff"] == ""
    data = hashlib.sha256(b"a,b\n").hexdigest()
    assert source["left_out"]["labels.csv"] == {"bytes": 4, "sha256": data}
    assert set(source["left_out"]) == {"labels.csv", ".gitignore"}


def test_code_that_is_large_is_named_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untracked, "_LARGEST_FILE", 10)
    write(root / "large.py", "x = 1234567890\n")
    found = look_at_repository(root)
    assert found is not None
    assert (found.diff, list(found.left_out)) == ("", ["large.py"])


def test_a_huge_patch_is_told_and_refused_later(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_LARGEST_PATCH", 10)
    write(root / "plain.py", "a = 9\n")
    state = code_state(root)
    assert "commit them" in caplog.text
    write(root / "plain.py", "a = 10\n")
    assert code_state(root) != state, "another change is still another state"
    (note,) = copy_code(root, tmp_path / "copy", code=state)
    assert "too large" in note


def test_a_patch_survives_as_text() -> None:
    for patch in (b"", b"plain\n", "\u067e\n".encode(), b"\xff\r\n", b"\xff\r"):
        assert patch_of(text_of(patch)) == patch
    assert patch_of("of an early version, stripped") == b"of an early version, stripped\n"


def test_a_damaged_patch_is_told(root: Path, tmp_path: Path) -> None:
    write(root / "plain.py", "a = 9\n")
    state = code_state(root)
    state["diff"] = (state["diff"] or "").replace("-a = 1", "-a = 7")
    with pytest.raises(RunError, match="do not apply to their commit"):
        copy_code(root, tmp_path / "copy", code=state)


def test_submodules_come_along_and_their_own_changes_are_told(root: Path, tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "inner", {"part.py": "x = 1\n"})
    git(root, "submodule", "add", "-q", str(inner), "parts")
    git(root, "commit", "-qm", "parts")
    write(root / "parts/part.py", "x = 2\n")
    state, source = code_and_source()
    assert state["diff"] == "" and source["edited_submodules"] == ["parts"]
    (note,) = copy_code(
        root, tmp_path / "copy", code=state, edited=tuple(source["edited_submodules"])
    )
    assert "parts had uncommitted changes" in note
    assert (tmp_path / "copy/parts/part.py").read_text() == "x = 1\n"


def test_where_the_command_was_run_and_where_modules_lie_is_known(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(root, "remote", "add", "origin", "https://me:hunter2@example.org/own.git")
    monkeypatch.chdir(root / "deep")
    monkeypatch.syspath_prepend(str(root / "deep/er"))
    _, source = code_and_source()
    assert source["repository"] == str(root.resolve())
    assert source["folder"] == "deep"
    assert "deep/er" in source["path"]
    assert source["remote"] == "https://example.org/own.git"
    assert "version" in source["runner"], "which is another repository"


def test_git_that_hangs_ends_no_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("git", 20)

    monkeypatch.setattr(subprocess, "run", late)
    assert look_at_repository(root) is None

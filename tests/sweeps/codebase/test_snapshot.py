import json
import logging
import os
from pathlib import Path

import pytest

from runner.errors import ConfigError, RunError
from runner.run.source.state import code_state
from runner.sweeps.codebase import snapshot
from runner.sweeps.codebase.snapshot import take_snapshot
from tests.sweeps.codebase.repositories import content, git, make_repository, write


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_repository(tmp_path / "own", {"net.py": "layers = 1\n", "sub/run.sh": "#!\n"})
    monkeypatch.chdir(root)
    return root


def test_it_holds_the_working_tree_and_says_what_that_is(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root / "net.py", "layers = 2\n")
    write(root / "new.py", "x = 1\n")
    (root / "sub" / "run.sh").chmod(0o755)
    monkeypatch.chdir(root / "sub")
    code = take_snapshot(tmp_path / "slurm")
    assert code.files == tmp_path / "slurm" / "code" / "files" and code.repository == root
    assert content(code.files) == {
        "net.py": "layers = 2\n",
        "new.py": "x = 1\n",
        "sub/run.sh": "#!\n",
    }
    assert os.access(code.files / "sub" / "run.sh", os.X_OK)
    assert (code.num_files, code.num_bytes) == (3, 20)
    assert json.loads(code.record.read_text()) == {"state": code_state(root), "is_snapshot": True}
    write(root / "net.py", "layers = 3\n")
    assert (code.files / "net.py").read_text() == "layers = 2\n"


def test_unchanged_code_is_not_copied_again_and_other_code_goes_beside_it(
    root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "slurm"
    first = take_snapshot(folder)
    assert take_snapshot(folder) == first
    changes = {
        "code_2": lambda: write(root / "net.py", "layers = 2\n"),
        "code_3": lambda: write(root / "untracked.sh"),
        "code_4": lambda: (root / "untracked.sh").chmod(0o755),
        "code_5": lambda: git(root, "commit", "-qam", "second"),  # the same files
    }
    for name, change in changes.items():
        change()
        made = take_snapshot(folder)
        assert made.record.parent.name == name
        assert take_snapshot(folder) == made
    (root / "untracked.sh").chmod(0o644)
    git(root, "reset", "-q", "HEAD~")
    assert take_snapshot(folder).record.parent.name == "code_3", "that of then again"
    assert (first.record.parent / "files" / "net.py").read_text() == "layers = 1\n"


def test_a_snapshot_that_was_touched_is_not_used_again(root: Path, tmp_path: Path) -> None:
    first = take_snapshot(tmp_path / "slurm")
    assert first.files is not None
    write(first.files / "__pycache__" / "net.pyc")
    assert take_snapshot(tmp_path / "slurm") == first, "what jobs leave there is no change"
    write(first.files / "net.py", "layers = 9\n")
    second = take_snapshot(tmp_path / "slurm")
    assert second.record.parent.name == "code_2"
    write(second.record, "torn")
    assert take_snapshot(tmp_path / "slurm").record.parent.name == "code_3"


def test_a_killed_copy_leaves_nothing_that_counts(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "slurm"

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "write_submitted", dies)
        with pytest.raises(KeyboardInterrupt):
            take_snapshot(folder)
    assert list(folder.iterdir()) == []
    write(folder / ".code.partial" / "files" / "stale.py")  # of one that could not clean up
    code = take_snapshot(folder)
    assert code.files is not None and not (code.files / "stale.py").exists()
    assert [path.name for path in folder.iterdir()] == ["code"]


def test_links_lead_where_they_led(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "outside.txt", "outside")
    write(root / ".gitignore", "data/\n")
    write(root / "data" / "table.txt", "ignored")
    links = {
        "inside": "net.py",
        "sub/up": "../net.py",
        "absolute": str(root / "sub"),
        "out": "../outside.txt",
        "ignored": "data/table.txt",
        "broken": "nowhere",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    code = take_snapshot(root / "slurm")  # its own folder is no code
    assert code.files is not None
    copied = {name: str((code.files / name).readlink()) for name in links}
    assert copied == {
        "inside": "net.py",
        "sub/up": "../net.py",
        "absolute": "sub",
        "out": str(tmp_path / "outside.txt"),
        "ignored": str(root / "data" / "table.txt"),
        "broken": str(root / "nowhere"),
    }
    assert not (code.files / "slurm").exists()
    assert take_snapshot(root / "slurm") == code


def test_much_code_is_told_with_the_largest_file(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(snapshot, "_LARGE_BYTES", 100)
    write(root / "weights.bin", "x" * 100)
    with caplog.at_level(logging.WARNING):
        take_snapshot(tmp_path / "slurm")
    assert "largest file is weights.bin" in caplog.text and ".gitignore" in caplog.text


def test_what_cannot_be_written_or_read_is_one_sentence(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "file")
    with pytest.raises(RunError, match=r"the code in .*own cannot be copied into .*file"):
        take_snapshot(tmp_path / "file")
    with pytest.raises(ConfigError, match="':' in its name"):
        take_snapshot(tmp_path / "12:30")

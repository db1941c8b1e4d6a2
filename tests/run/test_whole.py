"""Folders and files that come whole or not at all."""

import os
from pathlib import Path

import pytest

from runner.run import whole
from runner.run.whole import bring_back, new_file, new_folder, put_in_place


def filled(folder: Path, word: str) -> Path:
    folder.mkdir()
    (folder / "word").write_text(word, encoding="utf-8")
    return folder


def words(folder: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text(encoding="utf-8") for path in folder.glob("*/word")}


def test_two_of_one_process_number_never_meet(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 7)
    with new_folder(tmp_path) as first, new_folder(tmp_path) as second:
        assert first != second and first.is_dir() and second.is_dir()
    assert not list(tmp_path.iterdir())
    with new_file(tmp_path / "a.csv") as one, new_file(tmp_path / "a.csv") as other:
        one.write("one")
        other.write("other")
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["one"]


def test_what_killed_ones_left_goes_after_a_day_and_nothing_else(tmp_path):
    kept = [filled(tmp_path / name, "") for name in (".runner-mine.tmp", ".7.tmp", "plates")]
    kept.append(filled(tmp_path / f".runner-{'a' * 16}.tmp", ""))  # under way elsewhere
    os.utime(kept[-1], (0, 0))  # but its file is new
    gone = filled(tmp_path / f".runner-{'b' * 16}.tmp", "")
    file = tmp_path / f".runner-{'c' * 16}.tmp"
    file.touch()
    for path in (gone / "word", gone, file, *kept[:3]):
        os.utime(path, (0, 0))
    with new_folder(tmp_path) as own:
        assert set(tmp_path.iterdir()) == {*kept, own}


@pytest.mark.parametrize("can_exchange", [True, False])
def test_one_takes_the_place_of_another(can_exchange, tmp_path, monkeypatch):
    if not can_exchange:
        monkeypatch.setattr(whole, "_exchange", lambda *_: False)
    new, old = filled(tmp_path / "new", "new"), filled(tmp_path / "old", "old")
    put_in_place(new, old)
    assert words(tmp_path) == {"old": "new", "new": "old"}


def test_a_kill_between_the_renames_loses_nothing(tmp_path, monkeypatch):
    new, old = filled(tmp_path / "new", "new"), filled(tmp_path / "old", "old")
    rename, done = Path.rename, []

    def killed(path: Path, target: Path) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(rename(path, target))

    monkeypatch.setattr(whole, "_exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        put_in_place(new, old)
    monkeypatch.undo()
    assert not old.exists()
    bring_back(old)
    assert words(tmp_path)["old"] == "old"


def test_the_place_is_never_empty_where_the_system_can_exchange(tmp_path):
    new, old = filled(tmp_path / "new", "new"), filled(tmp_path / "old", "old")
    assert whole._exchange(new, old)
    with pytest.raises(FileNotFoundError):
        whole._exchange(new, tmp_path / "nowhere")


def test_what_is_no_plain_file_is_written_into(tmp_path):
    reader, writer = os.pipe()
    with new_file(Path(f"/dev/fd/{writer}")) as file:
        file.write("row")
    os.close(writer)
    assert os.read(reader, 9) == b"row"

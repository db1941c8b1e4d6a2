import pytest

from runner.trackers.appending import AppendedFile, LostEndError


def test_what_lies_behind_the_size_is_cut_off(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"whole|half of a long line")
    file = AppendedFile(path, size=6)
    file.append(b"more|")
    assert path.read_bytes() == b"whole|more|"
    assert file.size == 11


def test_a_file_that_is_too_short_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"who")
    for name in ("file", "absent"):
        with pytest.raises(LostEndError):
            AppendedFile(tmp_path / name, size=6)

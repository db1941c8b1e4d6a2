from runner.run.journal import Journal, Row
from runner.trackers.journal_tail import begins_a_line, count_rows, has_more, read_rows


def rows(count):
    return [Row(step, step / 10, 1.0 + step, "train", {"loss": 1.0}) for step in range(count)]


def write(path, new):
    journal = Journal(path)
    for row in new:
        journal.append(row)
    journal.close()


def read_all(path, offset=0):
    found = []
    while True:
        new, offset = read_rows(path, offset=offset)
        if not new:
            return found, offset
        found += new


def test_rows_are_read_once_from_the_offset_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, rows(3))
    first, offset = read_all(path)
    write(path, rows(5))
    second, _ = read_all(path, offset)
    assert first + second == rows(5)
    assert count_rows(path, offset=offset) == 2


def test_a_line_without_its_end_is_left_for_later(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, rows(1))
    with path.open("a") as file:
        file.write('{"step": 1, "epo')
    found, offset = read_all(path)
    assert found == rows(1)
    assert count_rows(path, offset=offset) == 0


def test_a_damaged_line_is_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, rows(2))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(f"{lines[0]}null\n{{garbage\n{lines[1]}")
    assert read_rows(path, offset=0) == (rows(2), path.stat().st_size)


def test_a_long_journal_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("runner.trackers.journal_tail._CHUNK_BYTES", 250)
    path = tmp_path / "metrics.jsonl"
    write(path, rows(50))
    assert len(read_rows(path, offset=0)[0]) < 5
    assert read_all(path)[0] == rows(50)


def test_a_row_longer_than_a_piece_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("runner.trackers.journal_tail._CHUNK_BYTES", 10)
    path = tmp_path / "metrics.jsonl"
    write(path, rows(2))
    assert read_all(path)[0] == rows(2)


def test_an_offset_of_another_journal_is_known_as_one(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, rows(2))
    middle = path.read_bytes().index(b"\n") + 1
    assert begins_a_line(path, offset=0)
    assert begins_a_line(path, offset=middle)
    assert begins_a_line(path, offset=path.stat().st_size)
    assert not begins_a_line(path, offset=middle - 1)
    assert not begins_a_line(path, offset=10_000)


def test_no_journal_has_no_rows(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert not has_more(path, offset=0)
    assert begins_a_line(path, offset=0)
    assert not begins_a_line(path, offset=10)
    assert read_rows(path, offset=0) == ([], 0)
    assert count_rows(path) == 0

from pathlib import Path

import pytest

from runner.run.journal import Journal, Row, read_journal, readable_rows, rows_since


def row(step: int, loss: float = 1.0, split: str = "train") -> Row:
    return Row(step=step, epoch=0.5, time=12.0, split=split, values={"loss": loss})


def test_rows_are_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    assert journal.append(row(1)) and journal.append(row(1, split="evaluation"))
    journal.close()
    assert read_journal(tmp_path / "metrics.jsonl") == [row(1), row(1, split="evaluation")]


def test_the_first_written_row_stands(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = Journal(path)
    first.append(row(1, loss=1.0))
    first.close()
    second = Journal(path)
    assert not second.append(row(1, loss=2.0))
    assert second.append(row(2))
    second.close()
    assert read_journal(path) == [row(1, loss=1.0), row(2)]


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_torn_last_line_is_dropped_and_written_again(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path)
    journal.append(row(1))
    journal.append(row(2))
    journal.close()
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal(path)
    assert again.append(row(2))
    again.close()
    assert read_journal(path) == [row(1), row(2)]


def test_a_reader_ignores_a_line_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path)
    journal.append(row(1))
    with path.open("a") as file:
        file.write('{"step": 2, "epo')
    assert read_journal(path) == [row(1)]
    journal.close()


def test_a_thread_may_sync_while_rows_are_added(tmp_path: Path) -> None:
    import threading

    journal, over = Journal(tmp_path / "metrics.jsonl"), threading.Event()

    def sync() -> None:
        while not over.is_set():
            journal.sync()

    thread = threading.Thread(target=sync)
    thread.start()
    for step in range(300):
        journal.append(Row(step, 0.0, 0.0, "train", {"loss": 0.5}))
    over.set()
    thread.join()
    journal.close()
    assert [row.step for row in read_journal(tmp_path / "metrics.jsonl")] == list(range(300))


GOOD = '{"step": 1, "epoch": 0.1, "time": 1.0, "split": "train", "values": {"loss": NaN}}'
DAMAGED = [
    *("", "{garbage", "null", "[1]", "3", "\0\0", "[" * 5000, GOOD[:20], '{"step": 1}'),
    *(GOOD.replace("NaN", value) for value in ('"x"', "null", "[1]", "true")),
    *(GOOD.replace('"step": 1', f'"step": {value}') for value in ('"1"', "null", "NaN", "1.5")),
    *(GOOD.replace('"train"', value) for value in ("null", "[]", "{}")),
    *(GOOD.replace('{"loss": NaN}', value) for value in ("null", "[]", "3")),
    GOOD.replace("}}", '}, "more": 1}'),
]


def test_readable_rows_pass_over_what_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join([GOOD, *DAMAGED, GOOD, GOOD[:20]]), encoding="utf-8")
    rows, numbers = readable_rows(path)
    assert len(rows) == 2 and numbers == list(range(2, len(DAMAGED) + 2))
    assert [row.step for row in read_journal(path)] == [1, 1]
    assert [row.step for row in rows_since(path, 0)] == [1, 1]
    assert readable_rows(tmp_path / "none") == ([], [])


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_line_stays_where_it_is_and_the_journal_goes_on(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "metrics.jsonl"
    before = f"{GOOD}\n{damage}\n"
    path.write_text(before, encoding="utf-8")
    journal = Journal(path)
    assert journal.damaged == [2] and journal.last_step("train") == 1
    assert not journal.append(row(1)) and journal.append(row(2))
    journal.close()
    assert path.read_text(encoding="utf-8").startswith(before)
    assert read_journal(path)[1:] == [row(2)]

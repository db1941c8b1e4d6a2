import csv
import io
import json

import pytest

from runner.errors import ConfigError
from runner.inference.rows import write_rows

ROWS = [
    {"file": "a.jpg", "text": "۱۲ب۳۴۵۶۷", "confidence": 0.98765432},
    {"file": "long, name.jpg", "text": "", "confidence": 1.0},
]


def written(format, rows=ROWS):
    file = io.StringIO()
    assert write_rows(iter(rows), format, file) == len(rows)
    return file.getvalue()


def test_jsonl_holds_one_object_a_line():
    rows = [json.loads(line) for line in written("jsonl").splitlines()]
    assert rows[0] == {"file": "a.jpg", "text": "۱۲ب۳۴۵۶۷", "confidence": 0.987654}
    assert "۱" in written("jsonl")


def test_a_small_confidence_can_be_ranked_in_each_format():
    rows = [{"file": "a.jpg", "confidence": 1.0172345e-07}, {"file": "b.jpg", "confidence": 0.0}]
    assert [json.loads(line)["confidence"] for line in written("jsonl", rows).splitlines()] == [
        1.01723e-07,
        0.0,
    ]
    assert written("csv", rows).splitlines()[1:] == ["a.jpg,1.01723e-07", "b.jpg,0.0"]
    assert [line.split()[1] for line in written("table", rows).splitlines()[1:]] == ["1e-07", "0.0"]


def test_csv_reads_back():
    rows = list(csv.DictReader(io.StringIO(written("csv"))))
    assert rows[1] == {"file": "long, name.jpg", "text": "", "confidence": "1.0"}


def test_table_columns_line_up():
    header, first, second = written("table").splitlines()
    assert header.split() == ["file", "text", "confidence"]
    column = header.index("confidence")
    assert first[column:] == "0.9877"
    assert second[column:] == "1.0"


@pytest.mark.parametrize("format", ["table", "csv", "jsonl"])
def test_no_rows_write_nothing(format):
    assert written(format, []) == ""


def test_csv_and_jsonl_do_not_wait_for_the_last_row():
    for format in ("csv", "jsonl"):
        file = io.StringIO()

        def rows(file=file):
            yield ROWS[0]
            assert "a.jpg" in file.getvalue()
            yield ROWS[1]

        assert write_rows(rows(), format, file) == 2


def test_an_unknown_format_is_told():
    with pytest.raises(
        ConfigError, match="must be one of table, csv, jsonl, got 'json' - did you mean"
    ):
        written("json")

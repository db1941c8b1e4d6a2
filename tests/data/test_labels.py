import pytest

from runner.data.labels import load_labels
from runner.errors import DataError

CSV = "file,text,split,region\na.jpg,۱۲,train,IR\nb.jpg,AB,val,AR\nc.jpg,۳,train,IR\n"


@pytest.fixture
def write(tmp_path):
    def write_labels(content, encoding="utf-8"):
        (tmp_path / "labels.csv").write_bytes(content.encode(encoding))
        return tmp_path

    return write_labels


def test_rows_keep_their_order_and_line(write):
    labels = load_labels(write(CSV))
    assert [(label.row, label.file, label.text) for label in labels.rows] == [
        (2, "a.jpg", "۱۲"),
        (3, "b.jpg", "AB"),
        (4, "c.jpg", "۳"),
    ]


@pytest.mark.parametrize("content", ["\ufeff" + CSV, CSV.replace("\n", "\r\n"), CSV + "\n\n"])
def test_files_as_spreadsheets_write_them_are_read(write, content):
    labels = load_labels(write(content))
    assert [label.file for label in labels.rows] == ["a.jpg", "b.jpg", "c.jpg"]
    assert labels.names == ("file", "text", "split", "region")


def test_quoted_values_may_hold_commas_and_lines(write):
    labels = load_labels(write('file,text\n"a,1.jpg","x\ny"\nb.jpg,z\n'))
    assert [(label.file, label.text) for label in labels.rows] == [
        ("a,1.jpg", "x\ny"),
        ("b.jpg", "z"),
    ]


@pytest.mark.parametrize(
    ("conditions", "files"),
    [
        ({}, ["a.jpg", "b.jpg", "c.jpg"]),
        ({"region": "IR"}, ["a.jpg", "c.jpg"]),
        ({"region": None, "colour": None}, ["a.jpg", "b.jpg", "c.jpg"]),
        ({"region": ["IR", "AR"], "split": "val"}, ["b.jpg"]),
    ],
)
def test_where_keeps_matching_rows(write, conditions, files):
    assert [label.file for label in load_labels(write(CSV)).where(conditions).rows] == files


def test_numbers_in_conditions_match_their_text(write):
    labels = load_labels(write("file,text,year\na.jpg,x,2024\nb.jpg,y,2025\n"))
    assert [label.file for label in labels.where({"year": 2025}).rows] == ["b.jpg"]


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"regoin": "IR"}, "has no column 'regoin'.*did you mean 'region'"),
        ({"region": "IQ"}, r"no row .* is left after data\.where\.region=IQ; .* holds AR, IR"),
        ({"split": "val", "region": "IR"}, r"no row .* is left after data\.where\.region=IR"),
    ],
)
def test_conditions_that_leave_nothing_are_errors(write, conditions, message):
    with pytest.raises(DataError, match=message):
        load_labels(write(CSV)).where(conditions)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("picture,text\na.jpg,x\n", "has no column 'file'; it has picture, text"),
        ("file,label\na.jpg,x\n", "has no column 'text'"),
        ("", "has no column 'file'"),
        ("file,text\n", "is empty: it has a header and no rows"),
        ("file,text\na.jpg,x\nb.jpg\n", "row 3 has 1 values, the header has 2"),
        ('file,text\na.jpg,"x\n', "row 2 is no CSV"),
    ],
)
def test_files_that_cannot_be_used_are_told_why(write, content, message):
    with pytest.raises(DataError, match=message):
        load_labels(write(content))


def test_another_encoding_is_told(write):
    with pytest.raises(DataError, match="is not UTF-8"):
        load_labels(write("file,text\na.jpg,é\n", encoding="latin-1"))


def test_missing_folder_and_missing_file_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        load_labels(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no labels\.csv: it needs one row for each picture"):
        load_labels(tmp_path)

import csv

import pytest

from runner.run.journal import Journal, Row
from runner.trackers.csv_file import CSVFile, CSVTracker
from runner.trackers.follower import Follower
from tests.trackers.mlflow.world import START, tracked_run, write_rows


@pytest.fixture
def run(tmp_path):
    return tracked_run(tmp_path / "run", tracker="csv")


def deliver(run):
    tracker = CSVTracker()
    tracker.start(run)
    tracker.finish("completed")


def table(run):
    with run.directory.table.open(newline="") as file:
        return list(csv.reader(file))


def test_there_is_a_line_for_each_row_and_a_column_for_each_name(run):
    journal = Journal(run.directory.journal)
    journal.append(Row(50, 0.5, START, "train", {"loss": 0.25, "lr": 0.1}))
    journal.append(Row(50, 0.5, START, "evaluation", {"loss": 0.5, "a,b": 1.0}))
    journal.close()
    deliver(run)
    assert table(run) == [
        ["step", "epoch", "time", "split", "loss", "lr", "a,b"],
        ["50", "0.5", str(START), "train", "0.25", "0.1", ""],
        ["50", "0.5", str(START), "evaluation", "0.5", "", "1.0"],
    ]


def test_a_name_that_comes_later_is_a_new_column_at_the_end(run):
    write_rows(run, 0, 2)
    deliver(run)
    write_rows(run, 2, 3, num_values=3)
    deliver(run)
    assert table(run)[0][4:] == ["value_0", "value_1", "value_2"]
    assert [line[4:] for line in table(run)[1:]] == [
        ["0.0", "0.125", ""],
        ["1.0", "1.125", ""],
        ["2.0", "2.125", "2.25"],
    ]


@pytest.mark.parametrize("damage", ["a kill behind the mark", "lost its end", "gone", "not ours"])
def test_whatever_happened_to_the_file_a_resume_makes_it_what_the_journal_says(run, damage):
    write_rows(run, 0, 3)
    deliver(run)
    path = run.directory.table
    whole = path.read_bytes()
    if damage == "a kill behind the mark":
        path.write_bytes(whole + b"2,0.2,half a li")
    elif damage == "lost its end":
        path.write_bytes(whole[:-20])
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"step,mine\n" + whole)
    write_rows(run, 3, 4)
    deliver(run)
    assert [line[0] for line in table(run)] == ["step", "0", "1", "2", "3"]
    assert path.read_bytes().startswith(whole)


def test_a_write_that_failed_half_way_leaves_nothing_behind(run, monkeypatch):
    write_rows(run, 0, 3)
    follower = Follower(run, CSVFile)
    follower.deliver_rows()
    write_rows(run, 3, 5)
    monkeypatch.setattr(follower, "_save_mark", lambda sink: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        follower.deliver_rows()  # the rows are there, the mark is not: as after a kill
    Follower(run, CSVFile).deliver_all("completed")
    assert [line[0] for line in table(run)] == ["step", "0", "1", "2", "3", "4"]

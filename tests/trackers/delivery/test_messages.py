import os

from runner.trackers.delivery.messages import (
    PARENT_DIED,
    Ending,
    Inbox,
    Told,
    write_message,
)


def pipe():
    reading, writing = os.pipe()
    return os.fdopen(reading, encoding="utf-8"), os.fdopen(writing, "w", encoding="utf-8")


def test_the_ending_is_what_was_written():
    reading, writing = pipe()
    with reading, writing:
        inbox = Inbox(reading, seconds_if_died=5.0)
        assert inbox.wait(0.01) is None
        ending = Ending(state="completed", seconds=60.0, model_files=["/runs/a/model"])
        write_message(writing, ending)
        assert inbox.wait(10.0) == ending


def test_a_closed_pipe_means_that_the_parent_died():
    reading, writing = pipe()
    with reading:
        inbox = Inbox(reading, seconds_if_died=5.0)
        writing.close()
        assert inbox.wait(10.0) == Ending(state=PARENT_DIED, seconds=5.0)


def test_what_is_told_of_runs_arrives_in_order_and_before_the_ending():
    reading, writing = pipe()
    with reading, writing:
        inbox = Inbox(reading, seconds_if_died=5.0)
        told = [Told(directory="/runs/1"), Told(directory="/runs/1", state="failed")]
        for message in (*told, Ending(state="failed", seconds=1.0)):
            write_message(writing, message)
        assert inbox.wait(10.0) == Ending(state="failed", seconds=1.0)
        assert inbox.is_over
        assert inbox.take() == told
        assert inbox.take() == []

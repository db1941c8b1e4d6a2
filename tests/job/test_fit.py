import json
import logging
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from runner.errors import ConfigError, DataError, Interrupted, RunError
from runner.job.fit import Job, fit
from runner.run.directory import RunDirectory
from runner.run.journal import Journal
from runner.run.session import JobDescription, open_session
from runner.run.status import Status, read_raw_status, read_status
from runner.trackers.tracker import TrackedRun
from runner.training.callback import Callback, Fit
from tests.training.harness import (
    Noisy,
    StopAt,
    fixed_split,
    journal_of,
    tiny_data,
    tiny_options,
    tiny_parts,
    train,
)

DESCRIPTION = JobDescription(name="tiny", config={}, overrides=[], command=[])


def status_of(path: Path) -> Status:
    status = read_status(RunDirectory(path))
    assert status is not None
    return status


def begin(path: Path) -> Status:
    """Leave a run that was stopped at step 7, after an evaluation, and return its status."""
    with pytest.raises(Interrupted):
        train(path, tiny_options(), callbacks={"stop": StopAt(7)})
    return status_of(path)


def fit_with_checkpoints_in(folder: Path, path: Path) -> None:
    job = Job(
        directory=RunDirectory(path),
        description=DESCRIPTION,
        build=lambda _: tiny_parts(tiny_options()),
        trackers={},
        checkpoint_dir=str(folder),
        continue_completed=True,
    )
    fit(job)


class StopAtTheEnd(Callback):
    def on_fit_end(self, fit: Fit, outcome: str) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_job_that_cannot_restore_leaves_what_the_status_says_of_the_training(
    tmp_path: Path,
) -> None:
    before = begin(tmp_path)
    assert before.step == 7 and before.score is not None
    with pytest.raises(Exception, match="another data"):
        train(tmp_path, tiny_options(), data=tiny_data(evaluation=fixed_split(10)))
    assert status_of(tmp_path) == before, "a job that could not begin changes nothing"


def test_a_job_that_saw_a_stop_at_the_very_end_is_not_completed(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path, tiny_options(), callbacks={"stop": StopAtTheEnd()})
    stopped, rows = status_of(tmp_path), journal_of(tmp_path)
    assert (stopped.state, stopped.step) == ("preempted", 18)
    result = train(tmp_path, tiny_options())
    assert status_of(tmp_path).state == "completed"
    assert (result.step, result.score) == (18, stopped.score)
    assert journal_of(tmp_path) == rows


def test_the_handler_that_was_there_is_called_though_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close_on_a_full_disk(journal: Journal) -> None:
        close(journal)
        raise OSError("no space left")

    close = Journal.close
    monkeypatch.setattr(Journal, "close", close_on_a_full_disk)
    called: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: called.append(number))
    try:
        assert begin(tmp_path).state == "preempted"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert called == [signal.SIGTERM]
    assert "no space left" in (tmp_path / "logs" / "rank_0.log").read_text()


def test_a_job_that_is_refused_writes_nothing_into_the_log_of_the_live_one(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    with open_session(directory, DESCRIPTION):
        with pytest.raises(RunError, match="in use"):
            train(tmp_path, tiny_options())
        assert not directory.log_of_rank(0).exists()


def test_the_log_file_holds_the_traceback_of_a_failure(tmp_path: Path) -> None:
    class Broken(Noisy):
        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(tmp_path, tiny_options(), data=tiny_data(train=Broken()))
    assert "Traceback" in RunDirectory(tmp_path).log_of_rank(0).read_text()


def test_a_run_that_cannot_begin_leaves_no_directory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty"):
        train(tmp_path / "run", tiny_options(), data=tiny_data(train=fixed_split(0)))
    assert not list(tmp_path.iterdir())


class Shown:
    """A tracker that writes into the run as soon as it is told of it."""

    def start(self, run: TrackedRun) -> None:
        run.directory.tracker(run.tracker).parent.mkdir(exist_ok=True)
        run.directory.tracker(run.tracker).touch()

    def finish(self, state: str, model_files: Sequence[Path] = ()) -> None: ...


def test_first_weights_that_are_not_there_are_told_before_anything_is_shown_or_left(
    tmp_path: Path,
) -> None:
    options = replace(tiny_options(), init_weights_from=str(tmp_path / "absent.pt"))
    parts = replace(tiny_parts(options), preprocessor=nn.Linear(1, 1))
    (tmp_path / "scratch").mkdir()
    job = Job(
        directory=RunDirectory(tmp_path / "run"),
        description=DESCRIPTION,
        build=lambda _: parts,
        trackers={"shown": Shown()},
        checkpoint_dir=str(tmp_path / "scratch"),
    )
    with pytest.raises(ConfigError, match="there is no such file"):
        fit(job)
    assert list(tmp_path.rglob("*")) == [tmp_path / "scratch"]


def test_bad_data_found_in_training_is_a_failed_run(tmp_path: Path) -> None:
    class Broken(Noisy):
        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            if index == 17:
                raise DataError("sample 17 cannot be read")
            return super().__getitem__(index)

    with pytest.raises(RunError, match="sample 17 cannot be read") as error:
        train(tmp_path, tiny_options(), data=tiny_data(train=Broken()))
    assert error.value.exit_code == 1
    assert status_of(tmp_path).state == "failed"


def test_a_job_whose_directory_was_taken_over_ends_without_saving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.run.lease.HEARTBEAT_SECONDS", 0.02)
    directory = RunDirectory(tmp_path)
    others = Status(state="running", step=3, jobs=9)

    class TakeOver(Callback):
        def on_step_end(self, fit: Fit) -> None:
            if fit.progress.step == 3:
                _take_over(directory, others)

    with pytest.raises(RunError, match="taken over by process 7 on another-host"):
        train(tmp_path, tiny_options(), callbacks={"other": TakeOver()})
    assert read_raw_status(directory.status) == others
    assert directory.lease.exists()
    assert not list(directory.path.glob("checkpoints/step_*"))


def test_checkpoints_lie_where_they_were_asked_for_and_stay_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked, plain = RunDirectory(tmp_path / "linked"), RunDirectory(tmp_path / "plain")
    fit_with_checkpoints_in(tmp_path / "scratch", linked.path)
    assert linked.checkpoints.resolve().parent == tmp_path / "scratch"
    fit_with_checkpoints_in(tmp_path / "scratch", linked.path)
    train(plain.path, tiny_options())
    assert "comes too late" not in linked.log_of_rank(0).read_text()
    fit_with_checkpoints_in(tmp_path / "scratch", plain.path)
    warning = f"the checkpoints of this run stay in {plain.checkpoints}"
    assert plain.log_of_rank(0).read_text().count(warning) == 1
    assert not plain.checkpoints.is_symlink()


def test_checkpoints_that_are_out_of_reach_are_told(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    directory.path.mkdir()
    directory.checkpoints.symlink_to(tmp_path / "not_mounted")
    with pytest.raises(RunError, match="is a link to .*not_mounted, which is not there"):
        train(directory.path, tiny_options())


def test_a_run_that_is_refused_tells_no_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        train(tmp_path / "run", replace(tiny_options(), init_weights_from="absent.pt"))
    assert capsys.readouterr().err == ""
    with pytest.raises(AttributeError):
        train(tmp_path / "run", tiny_options(), model=None)
    assert capsys.readouterr().err == f"failed in {os.path.relpath(tmp_path / 'run')}\n"
    train(tmp_path / "other", tiny_options(max_epochs=1))
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"run {os.path.relpath(tmp_path / 'other')}"


def test_logging_is_as_it_was_when_the_job_is_over(tmp_path: Path) -> None:
    logger = logging.getLogger("runner")
    before = list(logger.handlers), logger.level, logger.propagate
    train(tmp_path, tiny_options(max_epochs=1))
    assert (logger.handlers, logger.level, logger.propagate) == before


def _take_over(directory: RunDirectory, status: Status) -> None:
    """Do what a job on another host does, and wait for the heartbeat that sees it."""
    stranger: dict[str, Any] = {"token": "other", "host": "another-host", "pid": 7}
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        holder = json.loads(directory.lease.read_text())
        directory.lease.write_text(json.dumps({**holder, **stranger}))
        time.sleep(0.2)
        if json.loads(directory.lease.read_text())["token"] == "other":
            break  # no heartbeat came between reading and writing
    directory.status.write_text(json.dumps(vars(status)))

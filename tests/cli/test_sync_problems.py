"""`sync` where something is wrong: told at once, once, and it hides no other run."""

import time
from pathlib import Path

import pytest

from runner.cli.sync import sync
from runner.cli.syncing import runs
from runner.cli.syncing.runs import Feeding
from runner.errors import ConfigError, RunError
from runner.run.directory import RunDirectory
from runner.trackers.mlflow.handover import handover_path
from runner.trackers.tracker import Synced
from tests.cli.test_sync_unresolved import CSV, TARGET, with_trackers
from tests.security.strangers import own_run

MLFLOW = {"_target_": TARGET, "tracking_uri": "http://127.0.0.1:9", "finish_timeout_seconds": 1}


def run_in(folder: Path, **trackers: object) -> RunDirectory:
    folder.mkdir()
    own_run(folder).rename(folder / "run")
    with_trackers(folder / "run", **trackers)
    return RunDirectory(folder / "run")


@pytest.mark.parametrize("text", ["[]", '{"version": 1}', '{"version": 1, "servers": null}'])
def test_a_damaged_mark_hides_no_other_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    damaged = run_in(tmp_path / "a", mlflow=MLFLOW)
    damaged.tracker("mlflow").parent.mkdir(exist_ok=True)
    damaged.tracker("mlflow").write_text(text)
    other = run_in(tmp_path / "b", csv=CSV)
    handed = run_in(tmp_path / "c", mlflow=MLFLOW)
    handed.tracker("mlflow").parent.mkdir(exist_ok=True)
    handover_path(handed).write_text(text)
    with pytest.raises(RunError, match=r"trackers/mlflow\.json is damaged.*1 other problem"):
        sync([tmp_path])
    said = capsys.readouterr().out
    assert other.table.is_file()
    assert said.count("cannot be delivered: ") == 2


def test_whatever_one_run_raises_hides_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = run_in(tmp_path / "a", csv=CSV), run_in(tmp_path / "b", csv=CSV)
    tell, status_of = bad.path, runs.read_status

    def read(directory: RunDirectory) -> object:
        if directory.path == tell:
            raise AttributeError("'list' has no attribute 'items'")
        return status_of(directory)

    monkeypatch.setattr(runs, "read_status", read)
    with pytest.raises(RunError, match="AttributeError: 'list' has no attribute"):
        sync([tmp_path])
    assert good.table.is_file()
    assert "cannot be delivered: AttributeError" in capsys.readouterr().out


def test_a_server_of_an_unknown_kind_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_in(tmp_path / "a", csv=CSV)
    with pytest.raises(
        ConfigError, match=r"^--to: MLflow has no store of the kind 'foo' \("
    ) as told:
        sync([run.path], to="foo://x")
    assert told.value.exit_code == 2
    assert capsys.readouterr().out == ""
    assert not run.tracker("mlflow").exists()


def test_one_problem_of_one_run_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(tmp_path / "a", csv=CSV)
    problem = Synced(place="MLflow at http://server", new=3, problem="it did not take all")
    monkeypatch.setattr("runner.cli.sync._sync", lambda *_: iter([problem]))
    with pytest.raises(RunError, match="3 rows delivered, not all: it did not take all$"):
        sync([run.path])
    assert capsys.readouterr().out == ""


def test_a_wait_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow() -> Synced:
        time.sleep(0.2)
        return Synced(place="MLflow at http://server")

    Feeding(None).feed("MLflow at http://server", slow)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(runs, "PATIENCE_SECONDS", 0.05)
    Feeding(None).feed("MLflow at http://server", slow)
    assert capsys.readouterr().err == "waiting for MLflow at http://server ...\n"

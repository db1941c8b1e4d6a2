"""Evaluations of a run in MLflow: by `sync`, by `evaluate`, by the job itself; each once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runner.cli.evaluate import deliver
from runner.config.trust import Trust
from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.evaluations import Evaluation, commit, new_evaluation, read_evaluation
from runner.run.signature import sign
from runner.run.status import Status, write_status
from runner.trackers.mlflow.evaluations import deliver_evaluations
from runner.trackers.mlflow.handover import is_delivered
from runner.trackers.mlflow.mark import Mark
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.trackers.tracker import TrackedRun
from tests.commands.command import call
from tests.trackers.mlflow.world import free_port, stored_runs, tracked_run, write_rows

FOUND = Evaluation(
    name="test",
    split="test",
    step=3,
    time=1_790_000_100.0,
    overrides=[],
    values={"cer": 0.25, "night.cer": 0.5},
    num_samples=2,
)
EXPECTED = [
    (f"evaluations/test/{name}", 3, 1_790_000_100_000, value)
    for name, value in FOUND.values.items()
]


def evaluated(directory: RunDirectory, evaluation: Evaluation = FOUND) -> None:
    with new_evaluation(directory.evaluations) as partial:
        (partial / "predictions.csv").write_text("sample\n", encoding="utf-8")
        commit(partial, evaluation, is_name_given=False)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "mlflow.db"


@pytest.fixture
def run(tmp_path: Path, database: Path) -> TrackedRun:
    return run_at(tmp_path / "run", f"sqlite:///{database}")


def run_at(path: Path, uri: str) -> TrackedRun:
    """Return a run that is completed, as its directory shows it."""
    run = tracked_run(path)
    node = {
        "_target_": "runner.trackers.mlflow.tracker.MLflowTracker",
        "tracking_uri": uri,
        "finish_timeout_seconds": 15.0,
    }
    config = {"name": "plates", "trackers": {"mlflow": node}}
    text = json.dumps(config)
    sign(run.directory, text)
    run.directory.config.write_text(text, encoding="utf-8")
    facts = {
        "format_version": 1,
        "id": "one",
        "name": "plates",
        "jobs": [{"time": 1.79e9, "command": [], "overrides": []}],
    }
    run.directory.provenance.write_text(json.dumps(facts), encoding="utf-8")
    write_status(run.directory.status, Status(state="completed", jobs=1))
    write_rows(run, 0, 4)
    return run


def evaluations_in(database: Path) -> list[tuple]:
    (stored,) = stored_runs(database)
    assert stored.status == "FINISHED"
    return [metric for metric in stored.metrics if metric[0].startswith("evaluations/")]


def test_evaluate_delivers_once_and_sync_what_it_could_not(
    run: TrackedRun, database: Path, tmp_path: Path
) -> None:
    address = f"sqlite:///{database}"
    tracker = MLflowTracker(tracking_uri=address)
    tracker.start(run)
    tracker.finish("completed")
    assert is_delivered(run.directory, "completed", address=address)

    evaluated(run.directory)
    assert not is_delivered(run.directory, "completed", address=address)
    deliver(run.directory, Trust.of(True))
    assert is_delivered(run.directory, "completed", address=address)
    assert evaluations_in(database) == EXPECTED
    (files,) = database.parent.glob("mlflow_artifacts/*/artifacts/evaluations/test")
    assert sorted(path.name for path in files.iterdir()) == ["evaluation.json", "predictions.csv"]

    evaluated(run.directory, replace(FOUND, step=2))  # becomes test_2, and nobody delivers it
    for told in ("files and state delivered", "nothing new"):
        assert told in call("sync", "run", cwd=tmp_path).stdout
    others = [(name.replace("test", "test_2"), 2, *rest) for name, _, *rest in EXPECTED]
    assert evaluations_in(database) == EXPECTED + others


@pytest.mark.slow
def test_a_job_that_ends_brings_what_was_evaluated_meanwhile(
    run: TrackedRun, database: Path
) -> None:
    write_status(run.directory.status, Status(state="running", jobs=1))
    tracker = MLflowTracker(tracking_uri=f"sqlite:///{database}")
    tracker.start(run)
    evaluated(run.directory)
    tracker.finish("completed")
    assert evaluations_in(database) == EXPECTED


def test_a_server_that_is_down_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_at(tmp_path / "run", f"http://127.0.0.1:{free_port()}")
    config = run.directory.config.read_text(encoding="utf-8")
    run.directory.config.write_text(config.replace("15.0", "1.5"), encoding="utf-8")
    evaluated(run.directory)
    deliver(run.directory, Trust.of(True))
    (line,) = capsys.readouterr().err.splitlines()
    assert "did not take all within 1.5 s" in line and "call sync again" in line
    assert (run.directory.evaluations / "test" / "evaluation.json").is_file()


def test_a_bad_evaluation_hides_nothing_and_its_reason_is_told(
    run: TrackedRun, database: Path
) -> None:
    evaluated(run.directory)
    bad = run.directory.evaluations / "bad"
    bad.mkdir()
    record = json.loads((run.directory.evaluations / "test/evaluation.json").read_text())
    (bad / "evaluation.json").write_text(json.dumps(record | {"values": {"cer": "low"}}))
    address = f"sqlite:///{database}"
    tracker = MLflowTracker(tracking_uri=address)
    tracker.start(run)
    tracker.finish("completed")
    assert evaluations_in(database) == EXPECTED
    assert is_delivered(run.directory, "completed", address=address)
    told = (run.directory.logs / "mlflow.log").read_text(encoding="utf-8")
    reason = "bad/evaluation.json cannot be read (cer is 'low' and no number)"
    assert reason in told
    synced = tracker.sync(run, "completed")
    assert synced.problem == "" and reason in synced.note


class Picky:
    """A store that refuses one evaluation."""

    def __init__(self) -> None:
        self.splits: list[str] = []

    def log(self, run_id: str, rows: list, **_: object) -> None:
        (row,) = rows
        self.splits.append(row.split)
        if row.split == "evaluations/test":
            raise ValueError("refused")


def test_one_that_the_server_refuses_is_told_when_the_others_are_there(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    for name in ("test", "other"):
        evaluated(directory, replace(FOUND, name=name))
    store, files = Picky(), []
    with pytest.raises(ValueError, match="refused"):
        deliver_evaluations(
            directory,
            Mark(run_id="one"),
            store,  # type: ignore[arg-type]
            lambda path, folder: files.append(f"{folder}/{path.name}"),
        )
    assert store.splits == ["evaluations/test", "evaluations/other"]
    assert files == [f"evaluations/other/{name}" for name in ("predictions.csv", "evaluation.json")]


@pytest.mark.parametrize("given", [{"step": "3"}, {"values": {"cer": None}}, {"values": [1]}])
def test_a_record_of_other_types_is_refused_when_it_is_read(tmp_path: Path, given: dict) -> None:
    evaluated(RunDirectory(tmp_path))
    folder = tmp_path / "evaluations" / "test"
    record = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps(record | given))
    with pytest.raises(RunError, match="cannot be read"):
        read_evaluation(folder)

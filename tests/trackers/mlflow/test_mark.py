import json

import pytest

from runner.trackers.mlflow import tracker as tracker_module
from runner.trackers.mlflow.handover import handover_path, read_handover
from runner.trackers.mlflow.mark import Mark, MarkFile
from runner.trackers.mlflow.tracker import MLflowTracker
from tests.trackers.mlflow.world import tracked_run


def test_each_server_has_its_own_mark(tmp_path):
    file = MarkFile(tmp_path / "mlflow.json")
    here, there = file.load("sqlite:////a.db"), file.load("http://server")
    here.run_id, there.rows = "1234", 7
    file.save("sqlite:////a.db", here)
    file.save("http://server", there)
    assert file.load("sqlite:////a.db") == here
    assert file.load("http://server") == there
    assert here.key != there.key


def test_a_new_server_has_nothing(tmp_path):
    mark = MarkFile(tmp_path / "mlflow.json").load("http://server")
    assert (mark.run_id, mark.offset, mark.rows) == (None, 0, 0)


def test_a_mark_of_another_version_is_refused(tmp_path):
    path = tmp_path / "mlflow.json"
    path.write_text(json.dumps({"version": 99, "servers": {}}))
    with pytest.raises(ValueError, match="version 99"):
        MarkFile(path).save("http://server", Mark())


def test_the_mark_remembers_the_server_behind_what_the_config_writes(tmp_path):
    file = MarkFile(tmp_path / "mlflow.json")
    assert file.address_of("${oc.env:STORE}") is None
    file.save("http://server", Mark(written="${oc.env:STORE}"))
    file.save("http://other", Mark())
    assert file.address_of("${oc.env:STORE}") == "http://server"


DAMAGED = (
    "[]",
    "{}",
    "garbage",
    '{"version": 1}',
    '{"version": 1, "servers": null}',
    '{"version": 1, "servers": {"http://server": []}}',
    '{"version": 1, "servers": {"http://server": {"offset": "7"}}}',
    '{"version": 1, "servers": {"http://server": {"unknown": 1}}}',
    '{"version": 2, "servers": {}}',
    "[" * 100_000,
)


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_mark_is_one_sentence_that_names_it(tmp_path, text):
    path = tmp_path / "mlflow.json"
    path.write_text(text)
    for ask in (lambda file: file.load("http://server"), lambda file: file.address_of("written")):
        with pytest.raises(ValueError, match=r"mlflow\.json (is damaged|has version)") as told:
            ask(MarkFile(path))
        assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_mark_costs_a_run_its_mlflow_alone(tmp_path, caplog, monkeypatch, text):
    monkeypatch.setattr(tracker_module, "launch_process", None)  # none is started in vain
    run = tracked_run(tmp_path / "run")
    mark = run.directory.tracker("mlflow")
    mark.parent.mkdir()
    mark.write_text(text)
    tracker = MLflowTracker(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    tracker.start(run)
    tracker.finish("completed")
    (line,) = caplog.messages
    assert line.startswith("MLflow will not get this run: ") and str(mark) in line


@pytest.mark.parametrize("text", ["[]", "{}", '{"version": 1, "order": {"unknown": 1}}'])
def test_a_damaged_handover_is_one_sentence_that_names_it(tmp_path, text):
    run = tracked_run(tmp_path / "run")
    path = handover_path(run.directory)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ValueError, match=r"mlflow\.order\.json (is damaged|has version)"):
        read_handover(run.directory)

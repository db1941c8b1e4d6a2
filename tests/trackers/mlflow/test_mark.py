import json

import pytest

from runner.trackers.mlflow.mark import Mark, MarkFile


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

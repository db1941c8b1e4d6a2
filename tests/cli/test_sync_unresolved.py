"""`sync` of runs whose address needs an environment variable that is not set."""

from pathlib import Path
from typing import Any

import pytest

from runner.cli.sweeps.mirror import trackers_of
from runner.cli.sync import sync
from runner.cli.syncing.runs import Feeding
from runner.config.written import read_config, to_yaml
from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.signature import sign
from runner.trackers.mlflow.tracker import MLflowTracker
from tests.security.strangers import own_run

TARGET = f"{MLflowTracker.__module__}.MLflowTracker"
OPEN = {"_target_": TARGET, "tracking_uri": "http://${oc.env:NOT_SET_HOST}", "register_as": "m"}
CSV = {"_target_": "runner.trackers.csv_file.CSVTracker"}


def with_trackers(path: Path, **nodes: Any) -> None:
    directory = RunDirectory(path)
    text = to_yaml({**read_config(directory.config), "trackers": nodes})
    sign(directory, text)
    directory.config.write_text(text)


def test_it_is_told_and_hides_no_other_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        own_run(tmp_path / name).rename(tmp_path / name / "run")
    with_trackers(tmp_path / "a" / "run", mlflow=OPEN, csv=CSV)
    with_trackers(tmp_path / "b" / "run", csv=CSV)
    needs = "needs the environment variable NOT_SET_HOST, which is not set"
    with pytest.raises(RunError, match=rf"^trackers\.mlflow\.tracking_uri {needs}"):
        sync([tmp_path])
    said = capsys.readouterr().out
    assert needs in said and said.count("rows delivered, 0 were there") == 2
    assert (tmp_path / "a" / "run" / "metrics.csv").is_file()


def test_another_server_needs_no_address_of_the_config() -> None:
    (found,) = trackers_of({"trackers": {"mlflow": OPEN}}, to="sqlite:///x.db")
    assert found[0] == "mlflow" and isinstance(found[1], MLflowTracker)
    tracker = Feeding("sqlite:///x.db").mlflow({found[0]: found[1]})["mlflow"]
    assert vars(tracker)["_register_as"] == "m"


def test_a_whole_node_that_is_not_there_is_told() -> None:
    config = {"trackers": {"mlflow": "${nowhere}", "csv": CSV}}
    first, second = trackers_of(config)
    assert first[1] is None and "trackers.mlflow needs nowhere" in first[2]
    assert second[1] is not None and second[2] == ""
    ((_, tracker, problem),) = trackers_of({"trackers": "${oc.env:NOT_SET}"})
    assert tracker is None and "NOT_SET" in problem

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from runner.checkpoint.snapshot import Snapshot
from runner.checkpoint.store import CheckpointStore
from runner.errors import CheckpointError, RunError
from runner.facade.run import Run
from runner.files import write_json_atomically
from runner.run.directory import FORMAT_VERSION, RunDirectory
from runner.run.journal import Row
from runner.run.session import JobDescription, open_session
from runner.run.status import Status, read_raw_status, write_status

CONFIG = {
    "name": "tiny",
    "width": 3,
    "home": "${oc.env:HOME}",
    "model": {"_target_": "torch.nn.Linear", "in_features": "${width}", "out_features": 2},
}


@pytest.fixture
def path(tmp_path):
    """A finished run with rows and two checkpoints, of which the first is the best."""
    directory = RunDirectory(tmp_path / "run")
    job = JobDescription(name="tiny", config=CONFIG, overrides=["width=3"], command=["runner"])
    with open_session(directory, job) as session:
        for step in (1, 2):
            session.journal.append(Row(step, step / 2, 0.0, "train", {"loss": 1 / step}))
            session.journal.append(Row(step, step / 2, 0.0, "evaluation", {"cer": 0.1 * step}))
            store = CheckpointStore(directory.checkpoints)
            store.write(step, Snapshot(weights=weights(step), training={}, ranks=[{}]))
    status = read_raw_status(directory.status)
    assert status is not None
    best = Status(state="completed", step=2, jobs=1, score=0.1, best_step=1)
    write_status(directory.status, best)
    return directory.path


def weights(value):
    return {"weight": torch.full((2, 3), float(value)), "bias": torch.zeros(2)}


def test_a_run_is_read_back(path):
    run = Run(path)
    assert run.name == "tiny"
    assert run.id == run.provenance["id"]
    assert run.status.state == "completed"
    assert (run.score, run.best_step) == (0.1, 1)
    assert run.checkpoints == [1, 2]
    assert run.provenance["jobs"][0]["overrides"] == ["width=3"]
    assert [row.split for row in run.metrics] == ["train", "evaluation"] * 2
    assert run.series("evaluation.cer") == [(1, 0.1), (2, 0.2)]


def test_the_config_is_resolved_on_demand_only(path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    run = Run(path)
    assert run.config["home"] == "${oc.env:HOME}"
    assert run.resolved_config()["home"] == "/home/somebody"
    assert run.resolved_config()["model"]["in_features"] == 3


def test_an_unknown_metric_is_named_with_what_there_is(path):
    with pytest.raises(RunError, match="did you mean 'evaluation.cer'"):
        Run(path).series("evaluation.crr")
    with pytest.raises(RunError, match=r"there are evaluation.cer, train.loss"):
        Run(path).series("xyz")


def test_the_best_model_is_loaded_or_the_one_asked_for(path):
    best = Run(path).load_model()
    assert isinstance(best, nn.Linear)
    assert not best.training
    assert best.weight.eq(1).all()
    assert Run(path).load_model(step=2).weight.eq(2).all()


def test_a_model_may_be_given(path):
    config = path / "config.yaml"
    config.write_text("name: tiny\n")
    with pytest.raises(RunError, match=r"load_model\(model=...\)"):
        Run(path).load_model()
    model = nn.Linear(3, 2)
    assert Run(path).load_model(model=model) is model
    assert model.weight.eq(1).all()


def test_a_step_without_checkpoint_is_refused(path):
    with pytest.raises(CheckpointError, match="1, 2"):
        Run(path).load_model(step=3)


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="is no run directory"):
        Run(tmp_path)


def test_a_newer_format_is_refused(path):
    provenance = json.loads((path / "run.json").read_text())
    write_json_atomically(path / "run.json", provenance | {"format_version": FORMAT_VERSION + 1})
    with pytest.raises(RunError, match="newer runner"):
        Run(path)


def test_looking_at_a_run_imports_no_torch(path):
    program = (
        "import sys; from runner import Run; run = Run(sys.argv[1]);"
        "run.status, run.metrics, run.config, run.checkpoints, run.resolved_config();"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(path)],
        check=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "HOME": "/"},
    )

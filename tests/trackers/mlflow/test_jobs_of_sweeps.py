import json
from dataclasses import replace

from runner.config.compose import compose
from runner.config.frozen import freeze
from runner.job.ordered import OrderedJob
from runner.run.directory import RunDirectory
from runner.trackers.mlflow.handover import read_handover
from runner.trackers.mlflow.tracker import MLflowTracker
from tests.trackers.mlflow.world import tracked_run

SHORT = ["hardware=cpu", "hardware.threads=1", "trainer.max_epochs=null", "trainer.max_steps=1"]


def test_a_job_of_a_sweep_hands_over_what_the_sweep_delivers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = freeze(compose([*SHORT, "output_dir=outputs"]))
    job = OrderedJob(
        config=config,
        path=tmp_path / "sweep" / "0",
        overrides=(),
        command=("python",),
        delivered_to={config["trackers"]["mlflow"]["tracking_uri"]: "http://127.0.0.1:9"},
    )
    assert job() == 0
    directory = RunDirectory(job.path)
    handover = read_handover(directory)
    assert handover is not None
    assert (handover.state, handover.order.uri) == ("completed", "http://127.0.0.1:9")
    assert handover.order.parameters["trainer.max_steps"] == "1"
    names = {path.split("/")[-1] for path in handover.model_files}
    beside = {"model.json", "config.yaml", "calibration.json", "signature"}
    assert names == {"model.safetensors", *beside}
    assert not (directory.logs / "mlflow.log").exists()  # no process of its own


def test_a_run_of_a_sweep_is_called_by_its_overrides_unless_it_is_given_a_name(tmp_path):
    run = tracked_run(tmp_path / "sweep" / "3", sweep=RunDirectory(tmp_path / "sweep"))
    tracker = MLflowTracker(tracking_uri="http://127.0.0.1:9")
    assert tracker.order(run).name == "3"  # nothing is known of it yet
    overrides = [["optimizer.lr=0.1", "seed=2"], ["trainer.max_steps=9"]]
    jobs = [{"overrides": words, "time": 1.0} for words in overrides]
    facts = {"format_version": 1, "id": "one", "name": "plates", "jobs": jobs}
    run.directory.provenance.write_text(json.dumps(facts), encoding="utf-8")
    assert tracker.order(run).name == "optimizer.lr=0.1 seed=2"
    assert tracker.order(replace(run, sweep=None)).name == "3"
    named = MLflowTracker(tracking_uri="http://127.0.0.1:9", run_name="mine")
    assert named.order(run).name == "mine"

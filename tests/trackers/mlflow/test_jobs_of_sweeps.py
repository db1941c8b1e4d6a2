from runner.config.compose import compose
from runner.config.frozen import freeze
from runner.job.ordered import OrderedJob
from runner.run.directory import RunDirectory
from runner.trackers.mlflow.handover import read_handover

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
    assert names == {"model.json", "config.yaml", "model.safetensors", "calibration.json", "signature"}
    assert not (directory.logs / "mlflow.log").exists()  # no process of its own

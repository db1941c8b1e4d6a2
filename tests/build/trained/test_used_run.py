"""A folder that is no run is told in a sentence, and so is code that lies elsewhere."""

import json
import shutil

import pytest

from runner import load_reader
from runner.build.trained import used_run
from runner.build.trained.evaluating import Asked, evaluate_run
from runner.build.trained.exporting import ONNX, export_model
from runner.build.trained.model import trained_model
from runner.build.trained.used_run import config_to_use, run_to_use
from runner.build.weights_from import read_weights
from runner.errors import CheckpointError, ConfigError, RunError
from runner.run.directory import RunDirectory


class Summary:
    def __init__(self, best):
        self.best = best


def uses(path):
    return {
        "evaluate": lambda: evaluate_run(Asked(path=path)),
        "read": lambda: load_reader(path),
        "export": lambda: export_model(path),
        "model": lambda: trained_model(path),
        "weights": lambda: read_weights(str(path)),
    }


@pytest.mark.parametrize("use", ["evaluate", "read", "export", "model", "weights"])
def test_a_sweep_names_its_best_run(use, tmp_path, monkeypatch):
    (tmp_path / "sweep.json").write_text("{}", encoding="utf-8")
    best = type("Row", (), {"path": tmp_path / "3"})
    monkeypatch.setattr(used_run, "summarize", lambda _: Summary(best))
    with pytest.raises((RunError, CheckpointError), match=r"is a sweep: .* its best one, .*/3$"):
        uses(tmp_path)[use]()
    monkeypatch.setattr(used_run, "summarize", lambda _: Summary(None))
    with pytest.raises((RunError, CheckpointError), match="is a sweep: give one of its runs$"):
        uses(tmp_path)[use]()


@pytest.mark.parametrize("use", ["evaluate", "read", "export", "model"])
def test_an_empty_folder_is_no_run(use, tmp_path):
    with pytest.raises(RunError, match="is no run and no exported model: it has no config.yaml"):
        uses(tmp_path)[use]()
    assert not list(tmp_path.iterdir())


def test_code_that_is_not_found_names_the_folder_of_the_run(own_plate_run, tmp_path, monkeypatch):
    directory = run_to_use(own_plate_run)
    text = directory.config.read_text(encoding="utf-8")
    changed = text.replace("runner.models.crnn.CRNN", "not_here_at_all.CRNN")
    assert changed != text
    directory.config.write_text(changed, encoding="utf-8")
    monkeypatch.setattr("runner.build.trained.trusted.is_ours", lambda _: True)
    facts = json.loads(directory.provenance.read_text(encoding="utf-8"))
    facts["source"] = {"working_directory": str(tmp_path)}
    directory.provenance.write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"no module 'not_here_at_all'.*started in {tmp_path}:"):
        config_to_use(directory)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        config_to_use(directory)
    assert "started in" not in str(error.value)
    facts["source"] = {"repository": str(tmp_path), "folder": "own_run"}
    directory.provenance.write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"started in {own_plate_run}:"):
        config_to_use(directory)


def test_a_run_reads_by_the_onnx_model_that_was_exported_from_it(own_plate_run, monkeypatch):
    export_model(own_plate_run, step=2)
    directory = RunDirectory(own_plate_run)
    (directory.export / ONNX).touch()
    read = []

    def load_onnx(path):
        read.append(path)
        return trained_model(own_plate_run)

    monkeypatch.setattr("runner.build.trained.inference.load_onnx", load_onnx)
    load_reader(own_plate_run, step=2, engine="onnx")
    assert read == [directory.export / ONNX]
    with pytest.raises(RunError, match=r"is the model of step 2, and step 4 .*--onnx --step 4"):
        load_reader(own_plate_run, engine="onnx")
    shutil.rmtree(directory.export)
    load_reader(own_plate_run, engine="onnx")
    assert read[-1] == directory.path / ONNX  # load_onnx says what to do

"""The final model of a run, logged to a real store, registered, loaded and served by MLflow."""

import base64
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner.build.trained.mlflow_model import picture_of
from runner.build.trained.result import final_model
from runner.errors import DataError
from runner.run.directory import RunDirectory
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.trackers.tags import run_tags
from runner.trackers.tracker import TrackedRun
from tests.trackers.mlflow.world import Server, free_port, stored_runs, wait_until

LOAD = """
import json, sys
from pathlib import Path
import mlflow, numpy, pandas
from PIL import Image
folder, run_id = Path(sys.argv[1]), sys.argv[2]
files = sorted(folder.iterdir())
model = mlflow.pyfunc.load_model(f"runs:/{run_id}/model")
registered = mlflow.pyfunc.load_model("models:/plates/1", model_config={"device": "cpu"})
arrays = [numpy.asarray(Image.open(file).convert("RGB")) for file in files]
read = {
    "files": model.predict(pandas.DataFrame({"image": files})),
    "bytes": model.predict(pandas.DataFrame({"image": [file.read_bytes() for file in files]})),
    "arrays": registered.predict(pandas.DataFrame({"image": arrays})),
    "example": model.predict(model.input_example),
}
print(json.dumps({name: table.to_dict("list") for name, table in read.items()}))
print(model.metadata.signature.outputs.input_names(), model.metadata.model_size_bytes)
"""


def track(path: Path, uri: str, **knobs) -> None:
    """Do what a job does at the end of a run."""
    directory = RunDirectory(path)
    run = TrackedRun(
        directory=directory,
        name="plates",
        parameters=runner.Run(path).config,
        tags=run_tags(directory),
    )
    tracker = MLflowTracker(tracking_uri=uri, finish_timeout_seconds=100, **knobs)
    tracker.start(run)
    tracker.finish("completed", final_model(directory))


def readings(path: Path, pictures: Path) -> dict[str, list]:
    read = list(runner.load_reader(path, device="cpu").read(sorted(pictures.iterdir())))
    return {name: [reading[name] for reading in read] for name in ("text", "confidence")}


def count(database: Path, table: str) -> int:
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        return connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]


def version_of(database: Path) -> tuple[str, dict[str, str]]:
    """Return description and tags of the one registered version."""
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        ((described,),) = connection.execute("SELECT description FROM model_versions").fetchall()
        tags = connection.execute("SELECT key, value FROM model_version_tags").fetchall()
    return described, dict(tags)


def environment(uri: str) -> dict[str, str]:
    return os.environ | {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        # MLflow starts uvicorn by its name.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


@pytest.mark.timeout(300)
def test_the_model_is_logged_and_registered_once_and_reads_as_the_run_does(
    own_plate_run, pictures, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    uri, database = f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "mlflow.db"
    track(own_plate_run, uri, register_as="plates")
    directory = RunDirectory(own_plate_run)
    mark = json.loads(directory.tracker("mlflow").read_text())
    mark["servers"][uri].update(model=None, model_id=None, registered=None, state="RUNNING")
    directory.tracker("mlflow").write_text(json.dumps(mark))  # killed before it was remembered
    track(own_plate_run, uri, register_as="plates")
    (stored,) = stored_runs(database)
    assert stored.status == "FINISHED"
    assert (count(database, "logged_models"), count(database, "model_versions")) == (1, 1)
    assert stored.tags["runner.state"] == "completed"
    assert stored.tags["mlflow.source.name"] == "runner"
    assert stored.tags["mlflow.user"] == stored.tags["runner.user"]
    assert count(database, "datasets") == 3  # a digest for each split
    scores = [metric for metric in stored.metrics if metric[0] == "evaluation/cer"]
    assert len(scores) == 2  # of two evaluations: that of the model is no third
    assert count(database, "logged_model_metrics") == 1
    best = {name: value for name, _, _, value in stored.metrics if name.startswith("best/")}
    card = json.loads(directory.model_card.read_text())
    metric, value = card["score"]["metric"], card["score"]["value"]
    assert best == {f"best/{metric}": value, "best/step": card["step"]}
    described, tags = version_of(database)
    assert f"step {card['step']}, {metric}=" in described
    assert tags[metric] == str(value)
    assert "the model is version 1 of plates" in caplog.text

    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(pictures), stored.run_id],
        env=environment(uri),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    read, about = done.stdout.splitlines()[-2:]
    tables, expected = json.loads(read), readings(own_plate_run, pictures)
    for name in ("files", "bytes", "arrays"):
        assert tables[name]["text"] == expected["text"]
        assert tables[name]["confidence"] == pytest.approx(expected["confidence"], rel=1e-5)
    assert len(tables["example"]["text"]) == 1
    assert about.startswith("['text', 'confidence']")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_mlflow_models_serve_reads_plates(own_plate_run, pictures, tmp_path):
    server = Server(tmp_path / "server")
    server.start()
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/plates/1"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    try:
        track(own_plate_run, server.uri, register_as="plates")
        with (tmp_path / "serve.log").open("w") as log:
            serving = subprocess.Popen(
                command,
                env=environment(server.uri),
                stdout=log,
                stderr=log,
                cwd=tmp_path,
                start_new_session=True,
            )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until(lambda: _answers(f"{address}/ping"), seconds=150)
            files = sorted(pictures.iterdir())
            texts = [base64.b64encode(file.read_bytes()).decode() for file in files]
            answer = _post(f"{address}/invocations", {"dataframe_records": _rows(texts)})
            refused = _post(f"{address}/invocations", {"dataframe_records": _rows([str(files[0])])})
        finally:
            os.killpg(serving.pid, signal.SIGKILL)
            serving.wait()
    finally:
        server.stop()
    expected = readings(own_plate_run, pictures)
    assert [row["text"] for row in answer["predictions"]] == expected["text"]
    confidences = [row["confidence"] for row in answer["predictions"]]
    assert confidences == pytest.approx(expected["confidence"], rel=1e-5)
    assert "predictions" not in refused  # a text is no name of a file


def _rows(texts: list[str]) -> list[dict[str, str]]:
    return [{"image": text} for text in texts]


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def _post(address: str, content: dict) -> dict:
    request = urllib.request.Request(
        address, json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return {"error": error.read().decode()}


def test_a_picture_comes_in_many_forms_but_never_as_the_name_of_a_file(tmp_path):
    picture = Image.linear_gradient("L").resize((16, 8))
    file = BytesIO()
    picture.save(file, format="PNG")
    path = tmp_path / "a.png"
    path.write_bytes(file.getvalue())
    encoded = base64.b64encode(file.getvalue()).decode()
    array = np.asarray(picture)
    forms = [picture, path, file.getvalue(), encoded, f"data:image/png;base64,{encoded}"]
    for given in [*forms, array, array.tolist()]:
        assert np.array_equal(np.asarray(picture_of(given, 0)), array)
    wrong = [str(path), "bm8gcGljdHVyZQ==", b"no picture", 3.5, None, ["a"], [[1, 2], [3]]]
    wrong += [[[0, 256]], [[0.5]], array / 255.0, tmp_path / "7.png"]
    for given in wrong:
        with pytest.raises(DataError, match="7"):
            picture_of(given, 7)

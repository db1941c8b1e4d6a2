"""What MLflow is told beside the rows: states, tags, data, checkpoints; no server is asked."""

import json
import shutil

import pytest

from runner.errors import ConfigError
from runner.run.data_note import read_data_note, write_data_note
from runner.run.directory import RunDirectory
from runner.run.status import Status, write_status
from runner.trackers.delivery.messages import Ending
from runner.trackers.mlflow.datasets import MAX_DIGEST_LENGTH, datasets_of
from runner.trackers.mlflow.delivery import Delivery
from runner.trackers.mlflow.handover import (
    Handover,
    is_delivered,
    read_handover,
    write_handover,
)
from runner.trackers.mlflow.metric_names import metric_name
from runner.trackers.mlflow.order import Order
from runner.trackers.mlflow.packaging import requirements
from runner.trackers.mlflow.store import StoredRun
from runner.trackers.mlflow.tags import ending_tags, with_mlflow_names
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.trackers.tags import run_tags, start_tags
from tests.trackers.mlflow.world import tracked_run, write_rows

URI = "http://server:5000"


class FakeStore:
    """Remembers how a run stands, its tags, and the order in which files came."""

    def __init__(self, on_file=lambda _: None):
        self.state, self.tags, self.files = None, {}, []
        self._on_file = on_file

    def open_experiment(self, name, *, artifact_location):
        return "1"

    def find_run(self, mark):
        return None if self.state is None else StoredRun(id="run", parameters={})

    def create_run(self, mark, *, name, started_ms, tags):
        self.state, self.tags = "RUNNING", dict(tags)
        return "run"

    def known_steps(self, run_id):
        return {}

    def set_running(self, run_id):
        self.state = "RUNNING"

    def log(self, run_id, rows, *, known, parameters, tags):
        self.tags.update(tags)

    def log_summary(self, run_id, summary, *, at_ms): ...

    def set_state(self, run_id, state, *, at_ms=0):
        self.state = state

    def log_file(self, run_id, file, *, folder):
        self._on_file(file)
        self.files.append((f"{folder}/{file.name}".lstrip("/"), file.read_bytes()))

    def names(self):
        return [name for name, _ in self.files if name.startswith("checkpoints/")]


def order_of(path, **more):
    return Order(
        directory=str(path),
        name="run",
        uri=URI,
        written=URI,
        experiment="plates",
        artifact_location=None,
        started_ms=0,
        **more,
    )


def end(path, store, state, *, error=None, **more):
    """Do what a job's delivery, or sync, does when the run stands in `state`."""
    directory = RunDirectory(path)
    write_status(directory.status, Status(state=state, error=error))
    assert not is_delivered(directory, state, address=URI)
    Delivery(order_of(path, **more), lambda: store).deliver_all(Ending(state=state, seconds=1.0))
    assert state == "running" or is_delivered(directory, state, address=URI)


def test_every_state_is_told_truly_and_again_when_it_changes(tmp_path):
    run, store = tracked_run(tmp_path / "run"), FakeStore()
    write_rows(run, 0, 3)
    told = []
    for state, error in [
        ("preempted", None),
        ("lost", None),  # by sync, of the job that went on and was killed
        ("queued", None),
        ("failed", "RunError: the disk is full\nfree some"),
        ("cancelled", None),
        ("pruned", None),
        ("completed", None),
    ]:
        end(tmp_path / "run", store, state, error=error)
        told.append((store.state, store.tags["runner.state"], store.tags.get("runner.error", "")))
    assert told == [
        ("KILLED", "preempted", ""),
        ("KILLED", "lost", ""),
        ("SCHEDULED", "queued", ""),
        ("FAILED", "failed", "RunError: the disk is full"),
        ("KILLED", "cancelled", ""),
        ("KILLED", "pruned", ""),
        ("FINISHED", "completed", ""),
    ]


def test_a_run_that_goes_on_is_running_again(tmp_path):
    run, store = tracked_run(tmp_path / "run"), FakeStore()
    write_rows(run, 0, 3)
    end(tmp_path / "run", store, "failed", error="no")
    Delivery(order_of(tmp_path / "run"), lambda: store).deliver_rows()
    assert (store.state, store.tags["runner.state"], store.tags["runner.error"]) == (
        "RUNNING",
        "running",
        "",
    )


def checkpoint(path, step, *, is_committed=True):
    folder = RunDirectory(path).checkpoints / f"step_{step:08d}"
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "training.pt", "rank_0.pt"):
        (folder / name).write_text(f"{name} {step}")
    if is_committed:
        (folder / "manifest.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("wanted", "state", "steps"),
    [
        ("none", "completed", []),
        ("kept", "completed", [2, 4]),
        ("kept", "failed", [2, 4]),
        ("kept", "preempted", []),
        ("all", "preempted", [2, 4]),
    ],
)
def test_checkpoints_are_stored_if_asked_the_manifest_last(tmp_path, wanted, state, steps):
    run, store = tracked_run(tmp_path / "run"), FakeStore()
    write_rows(run, 0, 3)
    for step in (2, 4):
        checkpoint(tmp_path / "run", step)
    checkpoint(tmp_path / "run", 6, is_committed=False)
    end(tmp_path / "run", store, state, checkpoints=wanted)
    files = ["model.safetensors", "rank_0.pt", "training.pt", "manifest.json"]
    assert store.names() == [
        f"checkpoints/step_{step:08d}/{file}" for step in steps for file in files
    ]


def test_each_checkpoint_is_stored_while_training_goes_on_though_old_ones_vanish(tmp_path):
    run = tracked_run(tmp_path / "run")
    old, new = checkpoint(tmp_path / "run", 2), checkpoint(tmp_path / "run", 4)

    def retain(file):
        if file.parent == old and file.name == "rank_0.pt":
            shutil.rmtree(old)

    store = FakeStore(on_file=retain)
    delivery = Delivery(order_of(tmp_path / "run", checkpoints="all"), lambda: store)
    write_rows(run, 0, 3)
    delivery.deliver_rows()
    of_new = [f"checkpoints/{new.name}/{file}" for file in ("model.safetensors", "rank_0.pt")]
    names = store.names()
    assert names[:3] == [f"checkpoints/{old.name}/model.safetensors", *of_new]
    assert names[-1] == f"checkpoints/{new.name}/manifest.json"
    assert f"checkpoints/{old.name}/manifest.json" not in names  # a part of one is none
    delivery.deliver_rows()
    assert store.names() == names


def test_an_error_of_the_server_is_no_vanished_file(tmp_path):
    def refuse(file):
        raise OSError("no space at the server")

    run, store = tracked_run(tmp_path / "run"), FakeStore()
    checkpoint(tmp_path / "run", 2)
    write_rows(run, 0, 3)
    run.directory.config.unlink()
    store._on_file = refuse
    with pytest.raises(OSError, match="no space"):
        end(tmp_path / "run", store, "completed", checkpoints="kept")
    assert store.state == "FINISHED"  # how it ended does not wait for what is big
    assert not is_delivered(run.directory, "completed", address=URI)


@pytest.mark.parametrize("name", ["", "  ", "plates/v1", "plates:1", 3])
def test_a_name_that_mlflow_will_not_register_is_refused_before_the_run(name):
    with pytest.raises(ConfigError, match="register_as must be a name without '/' and ':'"):
        MLflowTracker(register_as=name)


def test_log_checkpoints_takes_three_words():
    for wanted in ("kept", None, "yes", ["all"]):
        with pytest.raises(ConfigError, match="log_checkpoints must be false, true or all"):
            MLflowTracker(log_checkpoints=wanted)
    run = MLflowTracker(log_checkpoints=True, register_as="plates").at(URI)
    assert (run._checkpoints, run._register_as) == ("kept", "plates")


def write_run_json(directory):
    job = {"command": ["python", "-m", "runner", "+experiment=plate ocr"], "host": "node1"}
    job["time"] = 2.0
    job |= {"user": "sara", "slurm_job": "77", "code": {"commit": "c2", "diff": "+ a"}}
    first = {"command": ["/home/sara/train.py"], "host": "node0", "slurm_job": None, "time": 1.0}
    jobs = [first, job]
    content = {"format_version": 1, "id": "id1", "name": "plates", "jobs": jobs}
    content["code"] = {"commit": "c1", "diff": ""}
    content["source"] = {"remote": "https://host/me/plates.git"}
    directory.provenance.write_text(json.dumps(content))


def test_a_run_is_tagged_with_who_where_and_which_code(tmp_path):
    run = tracked_run(tmp_path / "run")
    write_run_json(run.directory)
    tags = run_tags(run.directory)
    assert tags == {
        "runner.id": "id1",
        "runner.directory": str(tmp_path / "run"),
        "runner.command": "python -m runner '+experiment=plate ocr'",
        "runner.program": "runner",
        "runner.host": "node1",
        "runner.user": "sara",
        "runner.slurm_job": "77",
        "runner.repository": "https://host/me/plates.git",
        "runner.commit": "c2",
        "runner.uncommitted_changes": "true",
    }
    named = with_mlflow_names(tags)
    assert named.items() >= tags.items()
    assert {name: text for name, text in named.items() if name.startswith("mlflow.")} == {
        "mlflow.user": "sara",
        "mlflow.source.name": "runner",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.repoURL": "https://host/me/plates.git",
        "mlflow.source.git.commit": "c2",
        "mlflow.source.git.dirty": "true",
    }
    alone = start_tags(tmp_path, {"command": ["/home/sara/train.py", "--lr", "1"]})
    assert alone["runner.program"] == "train.py" and "runner.commit" not in alone
    assert with_mlflow_names({}) == {}


def test_no_secret_of_the_environment_is_in_a_tag(tmp_path, monkeypatch):
    monkeypatch.setenv("STORE_PASSWORD", "hunter2-and-more")
    command = ["python", "-m", "runner", "data.url=https://me:hunter2-and-more@host/x"]
    tags = start_tags(tmp_path, {"command": command})
    tags |= ending_tags("failed", "OSError: no answer to hunter2-and-more\nat line 3")
    assert tags["runner.error"].startswith("OSError: no answer to ")
    assert "hunter2" not in str(tags)


def test_the_data_are_a_dataset_for_each_split(tmp_path):
    node = {"_target_": "runner.data.digits.digits", "split_seed": 0}
    run = tracked_run(tmp_path / "run", parameters={"data": node})
    assert datasets_of(run) == []  # of a run of before
    fingerprint = {"train": "1437:0123456789abcdef", "test": f"{'9+' * 30}9:aa"}
    write_data_note(run.directory.data, fingerprint)
    assert read_data_note(run.directory.data) == fingerprint
    train, test = datasets_of(run)
    assert (train["name"], train["split"]) == ("digits", "train")
    assert train["digest"] == "1437:0123456789abcdef"
    assert json.loads(train["profile"]) == {"num_rows": 1437}
    assert json.loads(train["source"])["tags"]["split_seed"] == "0"
    assert len(test["digest"]) <= MAX_DIGEST_LENGTH and json.loads(test["profile"]) == {}

    folder = tracked_run(tmp_path / "run", parameters={"data": {**node, "root": "plates"}})
    assert datasets_of(folder)[0]["source_type"] == "local"
    assert json.loads(datasets_of(folder)[0]["source"]) == {"uri": "plates"}


def test_what_mlflow_measures_too_has_its_name_there():
    assert metric_name("system", "machine_cpu_percent") == "system/cpu_utilization_percentage"
    assert metric_name("system", "cpu_percent") == "system/cpu_percent"  # of the run alone
    assert metric_name("train", "loss@3") == "train/loss_3"


def test_the_requirements_name_what_pip_can_install():
    names = requirements({"python": "3.11", "torch": "2.9.1+cpu", "runner": "1.0", "numpy": "2.1"})
    assert {"torch==2.9.1", "numpy==2.1"} <= set(names)
    assert any(name.startswith("pillow==") for name in names)
    assert not any(name.startswith(("runner==", "python==")) for name in names)


def test_a_job_of_a_sweep_hands_over_what_is_to_be_shown(tmp_path):
    run = tracked_run(tmp_path / "run")
    write_data_note(run.directory.data, {"train": "8:aa"})
    order = MLflowTracker(tracking_uri=URI, log_checkpoints="all", register_as="plates").order(run)
    write_handover(run.directory, Handover(order=order, state="completed"))
    handed = read_handover(run.directory)
    assert handed is not None and handed.order == order
    assert (order.checkpoints, order.register_as, len(order.datasets)) == ("all", "plates", 1)


def test_what_has_no_weights_to_register_is_told(tmp_path, caplog):
    run = tracked_run(tmp_path / "run", delivered_to={URI: URI}, settings={"tracking_uri": URI})
    tracker = MLflowTracker(tracking_uri=URI, register_as="plates")
    tracker.start(run)
    tracker.finish("failed")
    assert not caplog.records
    tracker.finish("completed")
    assert "register_as=plates: this run kept no weights" in caplog.text

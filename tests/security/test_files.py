"""Files from elsewhere run no code when they are read, and name none outside their folder."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from runner.build.trained.model import trained_model
from runner.build.weights_from import read_weights
from runner.checkpoint.manifest import NAME, step_path, write_manifest
from runner.data.preprocessor import load_preprocessor
from runner.errors import CheckpointError, RunError
from runner.facade.run import Run
from runner.files import inside
from runner.run.directory import RunDirectory
from tests.commands.command import call
from tests.security.strangers import from_elsewhere, own_run


class Evil:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._canary}",)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_run(tmp_path_factory.mktemp("own"))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def newest(run: Path) -> tuple[Path, int]:
    directory = RunDirectory(run)
    return step_path(directory.checkpoints, directory.saved_step), directory.saved_step


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
@pytest.mark.parametrize("is_zip", [True, False])
def test_no_file_of_weights_runs_code(suffix: str, is_zip: bool, canary: Path) -> None:
    path = canary.with_name(f"weights{suffix}")
    content = {"state_dict": {"weight": torch.zeros(1)}, "more": Evil(canary)}
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        read_weights(str(path))
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        read_weights(str(path))
    assert not canary.exists()


def test_no_part_of_a_checkpoint_runs_code(run: Path, tmp_path: Path, canary: Path) -> None:
    path = from_elsewhere(run, tmp_path)
    folder, step = newest(path)
    pickled = [file for file in folder.rglob("*") if file.suffix not in (".safetensors", ".json")]
    assert pickled, "or there is nothing to be tried"
    for file in pickled:
        torch.save({"progress": Evil(canary)}, file)
    (folder / NAME).unlink()
    write_manifest(folder, step=step, tied={})
    assert trained_model(path) is not None, "weights alone are read"
    done = call("resume", str(path), "trainer.max_steps=3", "trust=true", cwd=tmp_path)
    assert done.returncode != 0
    assert not canary.exists()


def test_a_checkpoint_names_no_file_outside(run: Path, tmp_path: Path) -> None:
    path = from_elsewhere(run, tmp_path)
    folder, _ = newest(path)
    outside = tmp_path / "outside.safetensors"
    save_file({"weight": torch.zeros(1)}, outside)
    manifest = json.loads((folder / NAME).read_text())
    for name in ("../../../outside.safetensors", str(outside), "a/../../../../x", ""):
        changed = {**manifest, "files": {**manifest["files"], name: {"size": 0, "sha256": ""}}}
        (folder / NAME).write_text(json.dumps(changed))
        with pytest.raises(CheckpointError, match="is no name of a file"):
            Run(path).load_model(step=newest(path)[1])
    (folder / NAME).write_text(json.dumps(manifest))
    weights = folder / "model.safetensors"
    outside.write_bytes(weights.read_bytes())
    weights.unlink()
    weights.symlink_to(outside)
    with pytest.raises(CheckpointError, match="leads out"):
        Run(path).load_model(step=newest(path)[1])


def test_an_index_names_no_file_outside(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "outside.safetensors")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("../outside.safetensors", str(tmp_path / "outside.safetensors")):
        index = {"weight_map": {"weight": name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(CheckpointError, match="is no name of a file"):
            read_weights(str(folder))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..", "", "a\\..\\x", "a\0b", None, 3])
def test_names_that_lead_out(name: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no name of a file"):
        inside(tmp_path, name)
    assert inside(tmp_path, "a/b.bin") == tmp_path / "a" / "b.bin"


@pytest.mark.parametrize(
    ("name", "way", "fields"),
    [
        ("runner.trackers.appending.AppendedFile", "fields", {"path": "CANARY", "size": 0}),
        ("runner.run.journal.Journal", "fields", {"path": "CANARY"}),
        ("runner.cli.new.new_project", "fields", {"name": "x"}),
        ("runner.run.source.state.os.system", "fields", {"command": "touch CANARY"}),
        ("subprocess.Popen", "fields", {"args": ["touch", "CANARY"]}),
        ("transformers.Trainer", "fields", {}),
        ("transformers.AutoModel", "pretrained", {}),
        ("transformers.BertTokenizer", "fields", {"vocab_file": "CANARY"}),
        ("runner.data.pictures.Preprocessor", "no way", {}),
    ],
)
def test_a_preprocessor_is_nothing_else(
    name: str, way: str, fields: dict[str, Any], canary: Path
) -> None:
    folder = canary.parent / "preprocessor"
    folder.mkdir()
    content = json.dumps({"version": 1, "class": name, "way": way, "fields": fields})
    (folder / "preprocessor.json").write_text(content.replace("CANARY", str(canary)))
    with pytest.raises(RunError, match=r"which is no class|not as one is saved"):
        load_preprocessor(folder)
    assert not canary.exists()


def test_the_state_of_a_preprocessor_runs_no_code(canary: Path) -> None:
    class Scale:
        def load_state_dict(self, state: dict[str, Any]) -> None: ...

    folder = canary.parent / "preprocessor"
    folder.mkdir()
    torch.save({"factor": Evil(canary)}, folder / "state.pt")
    description = {"version": 1, "class": "elsewhere.Scale", "way": "state"}
    (folder / "preprocessor.json").write_text(json.dumps(description))
    with pytest.raises((RunError, pickle.UnpicklingError)):
        load_preprocessor(folder, Scale())
    assert not canary.exists()


@pytest.mark.parametrize("key", ["id", "name"])
def test_an_id_is_no_path(key: str, run: Path, tmp_path: Path) -> None:
    path = from_elsewhere(run, tmp_path)
    provenance = RunDirectory(path).provenance
    provenance.write_text(json.dumps(json.loads(provenance.read_text()) | {key: "../../outside"}))
    with pytest.raises(RunError, match=f"{key} must be the name of a file"):
        Run(path)

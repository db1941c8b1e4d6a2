import shutil

import numpy as np
import pytest
from PIL import Image

import runner
from runner.build.trained.result import final_model
from runner.errors import DataError, RunnerError
from runner.run.directory import RunDirectory


@pytest.fixture
def exported(plate_run, tmp_path):
    """The files of the final model, as a tracker has them, in a folder of their own."""
    folder = tmp_path / "exported"
    folder.mkdir()
    for path in final_model(RunDirectory(plate_run)):
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, folder / path.name)
    return folder


def test_the_files_of_the_final_model_read_as_the_run_does(plate_run, exported, pictures):
    assert {path.name for path in exported.iterdir()} == {
        "model.json",
        "config.yaml",
        "model.safetensors",
        "preprocessor",
        "calibration.json",
        "signature",
    }
    shutil.copytree(exported, moved := exported.with_name("moved"))
    shutil.rmtree(exported)
    of_run, of_export = (runner.load_reader(path) for path in (plate_run, moved))
    readings = list(of_run.read(pictures))
    assert readings == list(of_export.read(str(pictures)))
    assert [set(reading) for reading in readings] == [{"file", "text", "confidence"}] * 3
    assert of_export.calibration == of_run.calibration and of_run.calibration.count == 8


def test_pictures_in_memory_are_read_as_those_in_files(plate_run, pictures):
    reader = runner.Run(plate_run).load_reader(device="cpu")
    files = sorted(pictures.iterdir())
    of_files = [(r["text"], r["confidence"]) for r in reader.read(files)]
    opened = [Image.open(file) for file in files]
    arrays = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    mixed = (given for given in (files[0], opened[1], arrays[2]))
    for given in (opened, arrays, mixed):
        readings = list(reader.read(given, batch_size=2))
        assert [r["text"] for r in readings] == [text for text, _ in of_files]
        confidences = [confidence for _, confidence in of_files]
        assert [r["confidence"] for r in readings] == pytest.approx(confidences, rel=1e-5)
    assert [r["file"] for r in reader.read(opened)] == ["0", "1", "2"]
    assert len(list(reader.read(arrays[0]))) == len(list(reader.read(opened[0]))) == 1


def test_what_is_no_picture_is_refused_or_left_out(plate_run, pictures, caplog):
    reader = runner.load_reader(plate_run)
    with pytest.raises(DataError, match="does not exist"):
        list(reader.read([pictures / "0.png", pictures / "none.png"]))
    for shown, number in (([1], 0), (1, 0), ([pictures / "0.png", None], 1)):
        given = "int" if number == 0 else "NoneType"
        with pytest.raises(DataError, match=f"picture {number} has the type {given}: give paths"):
            list(reader.read(shown))
    picture = np.zeros((32, 128), np.uint8)
    readings = list(reader.read([picture, picture.astype(float), picture]))
    assert [reading["file"] for reading in readings] == ["0", "2"]
    assert "picture 1 is an array (32, 128) of float64" in caplog.text


def test_a_reader_is_shown_in_a_line(plate_run):
    told = repr(runner.load_reader(plate_run, device="cpu"))
    assert (
        told
        == "Reader(CRNN on cpu, confidence: calibrated on 8 evaluated samples, 4 of them right)"
    )


def test_run_says_what_uses_an_exported_model(exported):
    with pytest.raises(RunnerError, match=r"is an exported model, .*load_reader\(.*trained_model"):
        runner.Run(exported)


@pytest.mark.parametrize("break_it", ["cut", "other", "gone"])
def test_weights_that_are_not_those_of_the_card_are_refused(exported, break_it):
    weights = exported / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    {
        "cut": lambda: weights.write_bytes(content[:-1]),
        "other": lambda: weights.write_bytes(content),
        "gone": weights.unlink,
    }[break_it]()
    with pytest.raises(RunnerError, match=r"model\.safetensors is (damaged|missing)"):
        runner.load_reader(exported)


def test_an_exported_model_has_one_step_and_names_it(exported):
    assert runner.load_reader(exported, step=4).read
    with pytest.raises(RunnerError, match="is the model of step 4 alone"):
        runner.load_reader(exported, step=2)

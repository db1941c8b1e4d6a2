"""`predict` by a run that was trained to read plates, a little."""

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from runner.build.trained.evaluating import Asked, evaluate_run
from runner.cli.named_pictures import paths_from
from tests.commands.command import BARE, call, only_run

SMALL = (
    *BARE,
    "data.train_size=32",
    "data.evaluation_size=8",
    "data.test_size=8",
    "model.width=4",
    "model.hidden_size=8",
    "hardware.threads=1",
    "trainer.max_steps=4",
    "trainer.evaluate_every=4 steps",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where RUN_DIR reads plates, and PICTURES has some of them with their texts."""
    folder = tmp_path_factory.mktemp("reads")
    done = call("+experiment=plate_ocr", *SMALL, cwd=folder)
    assert done.returncode == 0, done.stderr
    shutil.move(only_run(folder, "plate_ocr"), folder / "RUN_DIR")
    (folder / "PICTURES").mkdir()
    rows = ["file,text,split"]
    for number in range(7):
        picture = Image.effect_noise((150 + 9 * number, 40), 20 + 30 * number).convert("RGB")
        picture.save(folder / f"PICTURES/{number}.jpg")
        rows.append(f"{number}.jpg,۱۲ب۳۴۵۶۷,{'val' if number else 'train'}")
    (folder / "PICTURES/labels.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder


def predict(folder: Path, *arguments: str):
    return call("predict", "RUN_DIR", *arguments, cwd=folder)


def read(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_format_has_each_picture_in_order(folder: Path) -> None:
    lines = predict(folder, "PICTURES", "--format", "jsonl")
    assert lines.returncode == 0, lines.stderr
    rows = read(lines.stdout)
    assert [row["file"] for row in rows] == [f"PICTURES/{number}.jpg" for number in range(7)]
    assert "7 pictures read\n" in lines.stderr
    table = predict(folder, "PICTURES").stdout.splitlines()
    assert table[0].split() == ["file", "text", "confidence"] and len(table) == 8
    comma = predict(folder, "PICTURES", "--format", "csv").stdout
    again = list(csv.DictReader(io.StringIO(comma)))
    assert [row["text"] for row in again] == [row["text"] for row in rows]


def test_a_file_is_written_whole_in_the_format_of_its_suffix(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "readings.csv"
    done = predict(folder, "PICTURES", "--output", str(output))
    assert (done.returncode, done.stdout) == (0, "")
    assert output.read_text(encoding="utf-8").startswith("file,text,confidence\nPICTURES/0.jpg,")
    assert [path.name for path in tmp_path.iterdir()] == ["readings.csv"]
    refused = predict(folder, "PICTURES", "--output", str(tmp_path / "nowhere" / "a.csv"))
    assert refused.returncode == 1 and "cannot be written: there is no folder" in refused.stderr


def test_what_cannot_be_read_is_told_and_the_rest_is_read(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "PICTURES/1.jpg").read_bytes()
    (tmp_path / "torn.jpg").write_bytes(whole[:-300])
    (tmp_path / "text.jpg").write_text("no picture", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    names = ["torn.jpg", "text.jpg", "missing.jpg", "empty"]
    paths = [str(tmp_path / name) for name in names]
    done = predict(folder, *paths, "PICTURES/1.jpg", "--format", "jsonl")
    assert done.returncode == 1
    assert [row["file"] for row in read(done.stdout)] == ["PICTURES/1.jpg"]
    told = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    assert len(told) == 4
    reasons = ["truncated", "no picture of a known format", "does not exist", "no pictures in"]
    for name, reason in zip(names, reasons, strict=True):
        assert sum(name in line and reason in line for line in told) == 1
    assert done.stderr.endswith("1 picture read, 4 left out\n")


def test_standard_input_names_pictures_and_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = b"PICTURES/3.jpg\nPICTURES\n\nPICTURES/nowhere.jpg\nPICTURES/2.jpg"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(names)))
    done = predict(folder, "-", "--format", "jsonl")
    assert done.returncode == 1 and "nowhere.jpg does not exist" in done.stderr
    numbers = [Path(row["file"]).stem for row in read(done.stdout)]
    assert numbers == ["3", *map(str, range(7)), "2"]


def test_paths_come_before_the_stream_ends() -> None:
    for separator in (b"\n", b"\0"):
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb", buffering=0) as pipe:
            paths = paths_from(stream)
            pipe.write(b"a b.jpg" + separator + b"half")
            assert next(paths) == Path("a b.jpg")
            pipe.write(b" done" + separator)
            assert next(paths) == Path("half done")
            pipe.write(b"last")
            pipe.close()
            assert list(paths) == [Path("last")]


def test_names_apart_by_nul_may_hold_anything() -> None:
    strange = [b"two\nlines.jpg", b" spaces ", b"\xff.jpg"]
    paths = list(paths_from(io.BytesIO(b"\0".join([*strange, b""]))))
    assert [os.fsencode(path) for path in paths] == strange


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_texts_are_those_of_evaluate_whatever_the_batches(
    folder: Path, batch_size: int
) -> None:
    overrides = ["data=ocr_folder", f"data.root={folder / 'PICTURES'}"]
    done = evaluate_run(Asked(path=folder / "RUN_DIR", split="evaluation", overrides=overrides))
    with (done.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    files = [row["sample"] for row in rows]
    told = predict(folder, *files, "--format", "jsonl", "--batch-size", str(batch_size))
    readings = read(told.stdout)
    assert [row["text"] for row in readings] == [row["text"] for row in rows]
    confidences = [float(row["confidence"]) for row in rows]
    assert [row["confidence"] for row in readings] == pytest.approx(confidences, rel=1e-4)
    assert 0 < min(confidences) < 1e-4  # which four decimals would not show


def test_a_run_that_reads_no_pictures_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(folder / "RUN_DIR", tmp_path / "own"))
    config = (own / "config.yaml").read_text(encoding="utf-8")
    start = config.index("  preprocessor:\n")
    end = config.index("  augment:", start)
    config = config[:start] + config[end:]
    config = config.replace("${data.preprocessor.height}", "32")
    (own / "config.yaml").write_text(config, encoding="utf-8")
    done = call("predict", str(own), "x.jpg", cwd=folder)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "reads no pictures" in done.stderr and "`evaluate` writes" in done.stderr


def test_one_bad_name_costs_no_other_picture(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "readings.csv"
    bad = ["x" * 5000 + ".jpg", "bell\a\x1b[31m.jpg"]
    done = predict(folder, *bad, "PICTURES/1.jpg", "--output", str(output))
    assert done.returncode == 1 and output.read_text(encoding="utf-8").count("\n") == 2
    lines = done.stderr.splitlines()
    assert "file name too long" in lines[1] and len(lines[1]) < 400
    assert "bell\\x07\\x1b[31m.jpg does not exist" in lines[2]
    assert str(output) not in done.stderr


def test_the_bytes_of_a_picture_are_no_names(folder: Path, monkeypatch) -> None:
    for content in ((folder / "PICTURES/1.jpg").read_bytes(), b"\x89PNG\r\n\x1a\n\0\0"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        done = predict(folder, "-", "--output", str(folder / "none.csv"))
        assert done.returncode == 1 and "none.csv" not in done.stderr
        assert "standard input holds the bytes of a picture" in done.stderr
        assert done.stderr.isprintable() or "\ufffd" not in done.stderr
        assert not (folder / "none.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--output", "a.csv", "--format", "jsonl"], "ends as csv does, and --format is jsonl"),
        (["--output", "a.xlsx"], ".xlsx says no format; end it with .csv, .jsonl, .txt"),
        (["--output", "nowhere/a.csv"], "there is no folder nowhere"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_the_model_is_read(
    folder: Path, arguments: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.cli.predict.load_reader", lambda *_, **__: pytest.fail("read"))
    done = predict(folder, "PICTURES", *arguments)
    assert done.returncode in (1, 2) and expected in done.stderr


def test_an_override_is_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.cli.predict.load_reader", lambda *_, **__: pytest.fail("read"))
    for words in (["PICTURES", "task.beam_width=4"], ["+task.grammar=null"]):
        done = predict(folder, *words)
        assert done.returncode == 2
        assert f"{words[-1]} is no file, and predict takes no overrides" in done.stderr


def test_a_file_may_be_called_like_an_override(folder: Path, tmp_path: Path) -> None:
    picture = Path(shutil.copy(folder / "PICTURES/1.jpg", tmp_path / "a=1.jpg"))
    done = call("predict", str(folder / "RUN_DIR"), picture.name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_standard_input_that_names_nothing_is_told(folder: Path, monkeypatch) -> None:
    for content in (b"", b"\n\n"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        done = predict(folder, "-")
        assert done.returncode == 1
        assert done.stderr.endswith("standard input names no picture\n0 pictures read\n")


def test_the_onnx_model_of_a_run_is_missed_where_it_is_looked_for(folder: Path) -> None:
    done = predict(folder, "PICTURES", "--engine", "onnx")
    assert done.returncode == 1
    wanted = "there is no RUN_DIR/export/model.onnx: python -m runner export RUN_DIR --onnx"
    assert wanted in done.stderr


def test_an_output_that_is_no_file_is_written_into(folder: Path) -> None:
    done = predict(folder, "PICTURES", "--output", os.devnull, "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert not Path(os.devnull).is_file()

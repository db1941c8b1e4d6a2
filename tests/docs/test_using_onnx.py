"""The code of docs/using.md that uses model.onnx without runner reads as the model does."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from runner.build.trained.exporting import ONNX, export_model
from runner.build.trained.inference import load_reader
from runner.tasks.decoding.greedy import decode_greedily
from tests.trained import pictures, plate_run

__all__ = ["pictures", "plate_run"]  # fixtures

PAGE = (Path(__file__).parents[2] / "docs" / "using.md").read_text(encoding="utf-8")
(CODE,) = re.findall(r"^```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_code_reads_what_the_model_reads(
    plate_run: Path, pictures: Path, tmp_path: Path
) -> None:
    assert "runner" not in CODE.partition("# ")[0]
    folder = export_model(plate_run, to=tmp_path / "plates_onnx", programs=(ONNX,)).folder
    pictures.rename(tmp_path / "PICTURES")
    with contextlib.chdir(tmp_path), contextlib.redirect_stdout(io.StringIO()) as said:
        exec(CODE, {})
    reader = load_reader(folder)
    files = sorted((tmp_path / "PICTURES").iterdir())
    images = torch.stack([reader.preprocessor(Image.open(file)) for file in files])
    with torch.inference_mode():
        logits = reader.model(images).log_softmax(dim=-1)
    texts, _ = decode_greedily(logits, reader.task.alphabet)  # type: ignore[attr-defined]
    assert any(texts), "it reads nothing, so nothing is shown"
    wanted = [f"PICTURES/{file.name} {text}" for file, text in zip(files, texts, strict=True)]
    assert said.getvalue().splitlines() == wanted

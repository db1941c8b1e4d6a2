"""The code of docs/using.md that uses model.onnx without runner reads as the model does."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from runner.build.trained.export_readme import write_readme
from runner.build.trained.exporting import ONNX, export_model
from runner.build.trained.inference import load_reader
from runner.run.model_card import ModelCard
from runner.tasks.decoding.greedy import decode_greedily
from tests.trained import pictures, plate_run

__all__ = ["pictures", "plate_run"]  # fixtures

PAGE = (Path(__file__).parents[2] / "docs" / "using.md").read_text(encoding="utf-8")
(CODE,) = re.findall(r"^```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_of_a_model_has_the_same_code(tmp_path: Path) -> None:
    network = {"alphabet": "ab", "blank": 0, "width": 8, "height": 4}
    card = ModelCard(
        run={"id": "1a2b", "name": "plates"},
        step=4,
        score=None,
        weights={},
        input="picture",
        predicts="text",
        network=network,
    )
    (tmp_path / "config.yaml").write_text("name: plates\n", encoding="utf-8")
    write_readme(tmp_path, card)
    assert "onnxruntime" not in (tmp_path / "README.md").read_text(encoding="utf-8")
    (tmp_path / "model.onnx").touch()
    write_readme(tmp_path, card)
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert f"```python\n{CODE.replace('plates_onnx/', '')}```" in page


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

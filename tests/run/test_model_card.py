import json
import subprocess
import sys

import pytest

from runner.errors import RunError
from runner.run.model_card import ModelCard, read_model_card, write_model_card

CARD = ModelCard(
    run={"id": "1a2b", "name": "plates"},
    step=4,
    score={"metric": "evaluation.cer", "value": 0.5},
    weights={"model.safetensors": "00"},
    input="picture",
    predicts="text",
)


def test_a_card_is_read_as_it_was_written_and_not_written_twice(tmp_path):
    path = tmp_path / "model.json"
    write_model_card(path, CARD)
    first = path.stat().st_ino
    assert read_model_card(path) == CARD
    write_model_card(path, CARD)
    assert path.stat().st_ino == first


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 2},
        {"step": None, "unknown": 1},
        {"weights": {"../model.safetensors": "00"}},
        {"weights": {"/etc/passwd": "00"}},
        {"weights": {"": "00"}},
    ],
)
def test_a_card_of_another_kind_or_with_a_way_out_of_its_folder_is_refused(tmp_path, change):
    path = tmp_path / "model.json"
    write_model_card(path, CARD)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}), encoding="utf-8")
    with pytest.raises(RunError, match=r"model\.json"):
        read_model_card(path)


def test_telling_what_was_trained_imports_no_torch():
    code = "import sys, runner.build.trained.result; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

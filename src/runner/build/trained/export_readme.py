"""The page in an exported folder: what the model is, and how to use it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.build.trained.inference import calibration_of
from runner.config.targets import TARGET
from runner.config.written import read_config
from runner.files import write_text_atomically
from runner.inference.onnx_model import FILE as ONNX
from runner.run.directory import RunDirectory
from runner.run.model_card import ModelCard

README = "README.md"
_KNOWN_PACKAGES = {"runner", "torch", "transformers"}
_FILES = {
    "model.json": "what the model is, in short, for programs",
    "config.yaml": "the whole config with which it was trained",
    "signature": "by which whoever exported it knows its config as his own",
    "model.safetensors": "the weights, under Hugging Face's names of files",
    "preprocessor": "what makes an input of a picture",
    "calibration.json": "what makes a confidence the probability to be right",
    "model.pt2": "the model as a program of torch.export",
    "model.onnx": "the model as ONNX",
}

# docs/using.md has it too, where a test runs it.
_CTC = """\
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

network = json.loads(Path("model.json").read_text(encoding="utf-8"))["network"]
session = onnxruntime.InferenceSession("model.onnx")
size = network["width"], network["height"]
for file in sorted(Path("PICTURES").iterdir()):
    picture = Image.open(file).convert("L").resize(size, Image.Resampling.BILINEAR)
    (logits,) = session.run(
        None, {"image": np.array(picture)[None, None]}
    )  # (time, batch, classes)
    path = [network["blank"], *logits[:, 0].argmax(axis=-1)]
    found = [new for old, new in zip(path, path[1:]) if new not in (old, network["blank"])]
    print(file, "".join(network["alphabet"][number - 1] for number in found))
"""


def write_readme(folder: Path, card: ModelCard) -> None:
    """Write README.md about the model in `folder`."""
    parts = [_head(card, folder), _files(folder), _use(card, folder), _network(card, folder)]
    if told := [f"- {name}: {line}" for name, line in card.programs.items() if line]:
        told.append("\nIn figures: `checks` in model.json.\n")
        parts.append("## Checked\n\n" + "\n".join(told))
    write_text_atomically(folder / README, "\n".join(filter(None, parts)))


def _head(card: ModelCard, folder: Path) -> str:
    score = ""
    if card.score is not None:
        score = f", {card.score['metric']} {card.score['value']:.4g}"
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    return (
        f"# {card.run['name']}\n\n"
        f"Takes a {card.input}, predicts {_predicted(card, folder)}. {_foreign_code(folder)}"
        f"The weights of step {card.step} of run {card.run['id']}{score}.\n\n"
        f"Trained with {versions or 'versions that are not known'}.\n"
    )


def _predicted(card: ModelCard, folder: Path) -> str:
    if card.predicts != "other":
        return f"a {card.predicts}"
    task = read_config(folder / "config.yaml").get("task") or {}
    return f"what its task {task.get(TARGET, '')} does".replace("  ", " ")


def _foreign_code(folder: Path) -> str:
    """Return a sentence about packages that the model cannot do without, "" if there are none."""
    config = read_config(folder / "config.yaml")
    data = config.get("data") or {}
    nodes = (config.get("model"), config.get("task"), data.get("preprocessor"))
    packages = sorted({top for node in nodes for top in _packages(node)} - _KNOWN_PACKAGES)
    if not packages:
        return ""
    names = ", ".join(packages)
    return f"It needs the code of {names}: have it on Python's path, and add trust={names}. "


def _packages(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _packages(item)
    elif isinstance(node, Mapping):
        if isinstance(node.get(TARGET), str):
            yield node[TARGET].partition(".")[0]
        for item in node.values():
            yield from _packages(item)


def _network(card: ModelCard, folder: Path) -> str:
    """Return how its programs are called where there is no runner."""
    if not card.network:
        return ""
    rows = [f"- {key}: `{_plain(value)}`" for key, value in card.network.items()]
    return "\n".join(
        [
            "## Without runner\n",
            "What its programs take and give (also in model.json):\n",
            *rows,
            "",
            *_code(card, folder),
        ]
    )


def _code(card: ModelCard, folder: Path) -> list[str]:
    """Return how pictures are read with the ONNX model of a CTC task."""
    if not {"alphabet", "width"} <= card.network.keys() or not (folder / ONNX).is_file():
        return []
    needs = "In this folder, with numpy, onnxruntime and Pillow alone:\n"
    return [needs, f"```python\n{_CTC}```", ""]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _files(folder: Path) -> str:
    there = sorted(path.name for path in folder.iterdir())
    rows = [f"| `{name}` | {_FILES.get(name, 'weights')} |" for name in there]
    return "\n".join(["| file | is |", "| --- | --- |", *rows, ""])


def _use(card: ModelCard, folder: Path) -> str:
    if card.input != "picture":
        return (
            "## Use\n\n```python\nfrom runner.build.trained.model import trained_model\n\n"
            'model = trained_model("FOLDER")  # a torch.nn.Module in eval mode\n```\n'
        )
    onnx = (folder / ONNX).is_file()
    more = "python -m runner predict FOLDER PICTURES --engine onnx\n" if onnx else ""
    return (
        "## Use\n\n```bash\npython -m runner predict FOLDER PICTURES\n"
        f"{more}```\n\n```python\nfrom runner import load_reader\n\n"
        'readings = load_reader("FOLDER").read(["PICTURES"])  # file, text, confidence of each\n'
        f"```\n\nConfidence: {calibration_of(RunDirectory(folder), card.step)}.\n\n"
        "Another training begins with its weights by `init_weights_from=FOLDER`.\n"
    )

"""The page in an exported folder: what the model is, and how to use it."""

from pathlib import Path

from runner.files import write_text_atomically
from runner.run.model_card import ModelCard

README = "README.md"
_FILES = {
    "model.json": "what the model is, in short, for programs",
    "config.yaml": "the whole config with which it was trained",
    "model.safetensors": "the weights, under Hugging Face's names of files",
    "preprocessor": "what makes an input of a picture",
    "calibration.json": "what makes a confidence the probability to be right",
    "model.pt2": "the model as a program of torch.export",
    "model.onnx": "the model as ONNX",
}


def write_readme(folder: Path, card: ModelCard) -> None:
    """Write README.md about the model in `folder`."""
    parts = [_head(card), _files(folder), _use(card, folder)]
    if told := [f"- {name}: {line}" for name, line in card.programs.items() if line]:
        parts.append("## Checked\n\n" + "\n".join(told) + "\n")
    write_text_atomically(folder / README, "\n".join(parts))


def _head(card: ModelCard) -> str:
    score = ""
    if card.score is not None:
        score = f", {card.score['metric']} {card.score['value']:.4g}"
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    return (
        f"# {card.run['name']}\n\n"
        f"Takes a {card.input}, predicts a {card.predicts}. The weights of step {card.step} of run "
        f"{card.run['id']}{score}.\n\nTrained with {versions or 'versions that are not known'}.\n"
    )


def _files(folder: Path) -> str:
    there = sorted(path.name for path in folder.iterdir())
    rows = [f"| `{name}` | {_FILES.get(name, 'weights')} |" for name in there]
    return "\n".join(["| file | is |", "| --- | --- |", *rows, ""])


def _use(card: ModelCard, folder: Path) -> str:
    if card.input != "picture":
        return (
            "## Use\n\n```python\nfrom runner.build.trained_model import trained_model\n\n"
            'model = trained_model("FOLDER")  # a torch.nn.Module in eval mode\n```\n'
        )
    onnx = (folder / "model.onnx").is_file()
    more = "python -m runner predict FOLDER PICTURES --engine onnx\n" if onnx else ""
    return (
        "## Use\n\n```bash\npython -m runner predict FOLDER PICTURES\n"
        f"{more}```\n\n```python\nfrom runner import load_reader\n\n"
        'readings = load_reader("FOLDER").read(["PICTURES"])  # file, text, confidence of each\n'
        "```\n\nAnother training begins with its weights by `init_weights_from=FOLDER`.\n"
    )

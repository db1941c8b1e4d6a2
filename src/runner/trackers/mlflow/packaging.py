"""Wrap the files of a trained model as MLflow's own format of models, without torch.

    MLmodel, requirements.txt, ...       signature, input example, how to load it
    data/model/                          the files as `export` writes them

A model that reads pictures is loaded by `mlflow.pyfunc` (see build/trained/mlflow_model.py); of
another kind only the files are there.
"""

import base64
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

LOADER = "runner.build.trained.mlflow_model"
CARD = "model.json"
MODEL_CONFIG = {"device": "auto", "trust": []}  # what load_model(..., model_config=) may change
_READING = ("torch", "numpy", "pillow", "safetensors", "hydra-core", "omegaconf", "transformers")
_ALWAYS = ("numpy", "pillow", "pyyaml", "safetensors", "hydra-core", "omegaconf", "psutil")


def card_among(files: Sequence[str]) -> dict[str, Any] | None:
    """Return the card of the model that consists of `files`; None if that has none."""
    for path in map(Path, files):
        if path.name == CARD and path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
    return None


def inside(paths: Sequence[str], *, folder: str) -> Iterator[tuple[Path, str]]:
    """Give each file with its folder among the artifacts."""
    for path in map(Path, paths):
        if path.is_dir():
            for file in sorted(inner for inner in path.rglob("*") if inner.is_file()):
                yield file, str(Path(folder) / file.parent.relative_to(path))
        else:
            yield path, folder


def link_files(folder: Path, files: Sequence[str]) -> None:
    """Let `folder` show `files`, whole folders under their names, as links; FileNotFoundError."""
    for given in map(Path, files):
        root = given.name if given.is_dir() else "."
        for path, inner in inside([str(given)], folder=root):
            link = folder / inner / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            path.stat()
            link.symlink_to(path.absolute())


def package_reader(
    folder: Path, files: Sequence[str], *, card: Mapping[str, Any], about: Mapping[str, Any]
) -> None:
    """Write into `folder`, which is new, a model that reads pictures; big files stay links.

    `about` is what MLflow's `Model` is made of: ids and where it will lie.
    """
    import mlflow.pyfunc
    import pandas
    from mlflow.models import Model

    data = folder.with_name("data") / "model"  # copied by MLflow, but for what is linked after
    data.mkdir(parents=True)
    (data / CARD).write_text(json.dumps(card), encoding="utf-8")
    model = Model(**about, metadata=_origin(card))
    mlflow.pyfunc.save_model(
        path=str(folder),
        loader_module=LOADER,
        data_path=str(data),
        mlflow_model=model,
        signature=_signature(),
        input_example=pandas.DataFrame({"image": [example_picture()]}),
        pip_requirements=requirements(card.get("versions") or {}),
        model_config=MODEL_CONFIG,
    )
    (folder / "data" / "model" / CARD).unlink()
    link_files(folder / "data" / "model", files)
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    model.model_size_bytes = sum(sizes)
    model.save(str(folder / "MLmodel"))


def requirements(versions: Mapping[str, str]) -> list[str]:
    """Return what has to be installed to read with a model that `versions` have trained.

    runner is among them only where pip can get it from: installed from a git repository. On package
    indexes that name may be anybody's.
    """
    found = {name: versions[name] for name in _READING if name in versions}
    for name in _ALWAYS:
        if name not in found:
            found[name] = metadata.version(name)
    pinned = [f"{name}=={version.partition('+')[0]}" for name, version in found.items()]
    return [*pinned, *_runner_from_git()]


def example_picture() -> str:
    """Return a small grey picture, as base64 of a PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.linear_gradient("L").resize((64, 16)).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    return ModelSignature(
        Schema([ColSpec(AnyType(), "image")]),  # text over HTTP; in Python bytes, files and arrays
        Schema([ColSpec("string", "text"), ColSpec("double", "confidence")]),
    )


def _origin(card: Mapping[str, Any]) -> dict[str, Any]:
    version = (card.get("versions") or {}).get("runner")
    return {"step": card["step"], **({"runner_version": version} if version else {})}


def _runner_from_git() -> list[str]:
    try:
        written = metadata.distribution("runner").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return []
    source = json.loads(written) if written else {}
    vcs = source.get("vcs_info") or {}
    if vcs.get("vcs") != "git" or not str(source.get("url", "")).startswith("http"):
        return []
    parts = urlsplit(source["url"])
    url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))  # no password
    return [f"runner @ git+{url}@{vcs['commit_id']}"]

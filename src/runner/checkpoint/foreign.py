"""Read weights that others have written: safetensors, state dicts of torch, Hugging Face's folders.

Nothing here runs code from a file.
"""

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from runner.errors import CheckpointError
from runner.files import inside

TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
FILE_SUFFIXES = (".safetensors", *TORCH_SUFFIXES)
FOLDER_STEMS = ("model.safetensors", "pytorch_model.bin")  # Hugging Face's; also NAME.index.json
_NESTED = ("state_dict", "model_state_dict", "model")  # under which training scripts put weights
_WRAPPERS = ("module.", "_orig_mod.")  # of DistributedDataParallel and torch.compile


def read_weight_file(path: Path) -> dict[str, Tensor]:
    """Return the weights in the file `path` by name, on the CPU; CheckpointError if unreadable."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return _plain_names(_weights_in(torch.load(path, map_location="cpu", weights_only=True)))
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CheckpointError(f"{path} cannot be read as weights: {reason}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def read_weight_folder(folder: Path) -> dict[str, Tensor]:
    """Return the weights in a `folder` as Hugging Face lays it out; CheckpointError if it is not.

    Safetensors come first, in one file or several.
    """
    for stem in FOLDER_STEMS:
        if (folder / stem).is_file():
            return read_weight_file(folder / stem)
        if (index := folder / f"{stem}.index.json").is_file():
            return _read_shards(index)
    raise CheckpointError(
        f"{folder} holds no weights: no {', '.join(FOLDER_STEMS)}, nor an index of several files"
    )


def _read_shards(index: Path) -> dict[str, Tensor]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        shards = [inside(index.parent, name) for name in names]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} cannot be read: {error}") from error
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        tensors |= read_weight_file(shard)
    return tensors


def _weights_in(content: Any) -> dict[str, Tensor]:
    """Return the state dict that a file of torch is, or has in it."""
    found = content
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            found = content[key]
            break
    if not isinstance(found, dict) or not any(isinstance(v, Tensor) for v in found.values()):
        raise ValueError("it holds no state_dict: names with their tensors")
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def _plain_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return `weights` under the names of the plain module, if all of them are a wrapper's."""
    for prefix in _WRAPPERS:
        if weights and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights

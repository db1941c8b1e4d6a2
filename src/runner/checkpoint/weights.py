"""Weights of a plain module in safetensors, with tied weights told apart from lost ones."""

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from runner.errors import CheckpointError, did_you_mean

TiedNames = dict[str, str]  # a name that is not in the file -> the one that holds its tensor


def save_weights(tensors: dict[str, Tensor], path: Path) -> TiedNames:
    """Write `tensors` to `path` and return which names share the tensor of another."""
    first_name: dict[tuple[object, ...], str] = {}
    kept: dict[str, Tensor] = {}
    tied: TiedNames = {}
    for name, tensor in tensors.items():
        key = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape))
        if tensor.numel() and key in first_name:
            tied[name] = first_name[key]
        else:
            first_name[key] = name
            kept[name] = tensor.detach().contiguous()
    save_file(kept, path)
    return tied


def load_weights(model: nn.Module, path: Path, tied: TiedNames) -> None:
    """Load the file at `path` into `model`; CheckpointError names what does not fit."""
    tensors = load_file(path)
    tensors |= {name: tensors[source] for name, source in tied.items()}
    expected = model.state_dict()
    problems = [f"{name} is missing from the file" for name in expected if name not in tensors] + [
        f"{name} is not in the model{did_you_mean(name, expected)}"
        for name in tensors
        if name not in expected
    ]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)}, the model has {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if problems:
        raise CheckpointError(f"{path} does not fit the model: " + "; ".join(problems))
    model.load_state_dict(tensors)

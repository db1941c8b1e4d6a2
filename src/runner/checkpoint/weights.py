"""Weights of a plain module in safetensors, with tied weights told apart from lost ones.

model.safetensors                                        all in one file, or
model-00001-of-00002.safetensors ...                     in several, no larger than a limit,
model.safetensors.index.json                             as Hugging Face lays them out
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from runner.checkpoint.spread import part_of
from runner.errors import CheckpointError, did_you_mean
from runner.files import inside, write_json_atomically

TiedNames = dict[str, str]  # a name that is not in the file -> the one that holds its tensor


def save_weights(
    tensors: Mapping[str, Tensor],
    directory: Path,
    *,
    stem: str = "model",
    max_shard_bytes: int | None = None,
    beat: Callable[[], None] = lambda: None,
) -> TiedNames:
    """Write `tensors` to files in `directory` and return which names share another's tensor.

    `beat` is called after each file.
    """
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
    shards = shards_of({name: tensor.nbytes for name, tensor in kept.items()}, max_shard_bytes)
    files = _shard_files(stem, len(shards))
    for file, names in zip(files, shards, strict=True):
        save_file({name: kept[name] for name in names}, directory / file, metadata=_METADATA)
        beat()
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": sum(tensor.nbytes for tensor in kept.values())},
            "weight_map": {
                name: file for file, names in zip(files, shards, strict=True) for name in names
            },
        }
        write_json_atomically(directory / _index_file(stem), index)
    return tied


def shards_of(sizes: Mapping[str, int], max_bytes: int | None) -> list[list[str]]:
    """Return the names in `sizes`, in order, cut so that no part has more than `max_bytes`.

    A single tensor that is larger has a part of its own; without a limit there is one part.
    """
    shards: list[list[str]] = [[]]
    taken = 0
    for name, size in sizes.items():
        if max_bytes is not None and shards[-1] and taken + size > max_bytes:
            shards.append([])
            taken = 0
        shards[-1].append(name)
        taken += size
    return shards


def weight_files(directory: Path, *, stem: str = "model") -> list[Path]:
    """Return the files that hold the weights, and their index if they are several."""
    index = directory / _index_file(stem)
    if not index.is_file():
        return [directory / _shard_files(stem, 1)[0]]
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        shards = [inside(directory, name) for name in names]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} cannot be read: {error}") from error
    return [index, *shards]


def read_tensors(
    directory: Path,
    tied: TiedNames,
    *,
    stem: str = "model",
    beat: Callable[[], None] = lambda: None,
) -> dict[str, Tensor]:
    """Return the weights in `directory` by name; tied ones are the same tensor.

    `beat` is called after each file.
    """
    tensors: dict[str, Tensor] = {}
    for path in weight_files(directory, stem=stem):
        if path.suffix == ".safetensors":
            tensors |= load_file(path)
            beat()
    return tensors | {name: tensors[source] for name, source in tied.items()}


def load_weights(
    model: nn.Module,
    directory: Path,
    tied: TiedNames,
    *,
    stem: str = "model",
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Load the weights in `directory` into `model`, of which this rank may have but a part.

    CheckpointError names what does not fit. `beat` is called after each file.
    """
    tensors = read_tensors(directory, tied, stem=stem, beat=beat)
    fit_weights(model, tensors, directory / _shard_files(stem, 1)[0])


def fit_weights(model: nn.Module, tensors: Mapping[str, Tensor], place: Path) -> None:
    """Load `tensors`, whole and found at `place`, into `model`; CheckpointError if they do not fit.

    They have to be all of its weights, and no others.
    """
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
        raise CheckpointError(f"{place} does not fit the model: " + "; ".join(problems))
    model.load_state_dict(
        {name: part_of(tensor, like=expected[name]) for name, tensor in tensors.items()}
    )


_METADATA = {"format": "pt"}  # Hugging Face's readers ask for it


def _shard_files(stem: str, count: int) -> list[str]:
    if count == 1:
        return [f"{stem}.safetensors"]
    return [f"{stem}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def _index_file(stem: str) -> str:
    return f"{stem}.safetensors.index.json"

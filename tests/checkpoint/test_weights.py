import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from runner.checkpoint.weights import load_weights, save_weights, shards_of, weight_files
from runner.errors import CheckpointError

KB = 1000


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 50)), st.integers(1, 60))
def test_shards_hold_every_name_once_in_order_and_none_is_too_large(
    sizes: dict[str, int], limit: int
) -> None:
    shards = shards_of(sizes, limit)
    assert [name for shard in shards for name in shard] == list(sizes)
    assert all(sum(sizes[name] for name in shard) <= limit or len(shard) == 1 for shard in shards)
    assert shards_of(sizes, None) == [list(sizes)]


def three_layers() -> nn.Module:
    return nn.Sequential(*(nn.Linear(10, 10) for _ in range(3)))


def test_shards_are_laid_out_as_hugging_face_does(tmp_path: Path) -> None:
    model = three_layers()
    save_weights(model.state_dict(), tmp_path, max_shard_bytes=KB)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": 3 * 440}
    assert index["weight_map"].keys() == model.state_dict().keys()
    for name, file in index["weight_map"].items():
        assert torch.equal(load_file(tmp_path / file)[name], model.state_dict()[name])
    assert weight_files(tmp_path)[0].name == "model.safetensors.index.json"
    assert len(weight_files(tmp_path)) == 3


@pytest.mark.parametrize("limit", [None, 10 * KB, KB, 1])
def test_weights_are_read_back_from_any_number_of_files(tmp_path: Path, limit: int | None) -> None:
    model, other = three_layers(), three_layers()
    model[2].weight = model[0].weight
    tied = save_weights(model.state_dict(), tmp_path, max_shard_bytes=limit)
    assert tied == {"2.weight": "0.weight"}
    load_weights(other, tmp_path, tied)
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)


def test_a_broken_index_is_told(tmp_path: Path) -> None:
    save_weights(three_layers().state_dict(), tmp_path, max_shard_bytes=KB)
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(CheckpointError, match="index.json cannot be read"):
        load_weights(three_layers(), tmp_path, {})

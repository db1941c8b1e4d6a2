from collections import OrderedDict

import torch
from torch import Tensor

from runner.checkpoint.snapshot import HostBuffers


def test_what_changes_after_the_copy_does_not_change_the_copy() -> None:
    weight, ranking, nested = torch.zeros(3), [[0.5, 1]], OrderedDict(a=(1, [2]))
    state = {"weight": weight, "ranking": ranking, "nested": nested, "set": {1}}
    copied = HostBuffers().copy(state)
    weight += 1
    ranking[0][1] = 7
    nested["a"][1].append(3)
    state["set"].add(2)
    assert copied["weight"].eq(0).all()
    assert copied["ranking"] == [[0.5, 1]]
    assert copied["nested"] == OrderedDict(a=(1, [2]))
    assert type(copied["nested"]) is OrderedDict
    assert copied["set"] == {1}


def test_memory_is_used_again() -> None:
    buffers, state = HostBuffers(), {"a": torch.zeros(5), "b": [torch.ones(5), torch.ones(2)]}
    first = pointers(buffers.copy(state))
    assert pointers(buffers.copy(state)) == first
    assert len(set(first)) == 3


def test_memory_that_a_smaller_state_does_not_need_is_given_back() -> None:
    buffers = HostBuffers()
    buffers.copy([torch.zeros(5), torch.zeros(5), torch.zeros(9)])
    buffers.copy([torch.zeros(5)])
    assert sum(len(kept) for kept in buffers._used.values()) == 1
    assert not buffers._free


def test_tied_tensors_stay_tied_and_are_counted_once() -> None:
    weight = torch.nn.Parameter(torch.arange(6.0))
    buffers = HostBuffers()
    copied = buffers.copy({"a": weight, "b": weight.detach(), "part": weight.detach()[2:4]})
    assert copied["a"] is copied["b"]
    assert copied["part"].data_ptr() != copied["a"].data_ptr()
    assert copied["part"].tolist() == [2, 3]
    assert buffers.num_bytes == 24 + 8


def test_two_empty_tensors_are_not_tied() -> None:
    copied = HostBuffers().copy([torch.empty(0), torch.empty(0)])
    assert copied[0] is not copied[1]


def test_the_layout_in_memory_is_kept() -> None:
    """An operation may give other bits on another layout: the optimizer's state keeps its own."""
    picture = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    copied = HostBuffers().copy(picture)
    assert copied.stride() == picture.stride()
    assert torch.equal(copied, picture)


def pointers(tree: dict[str, Tensor | list[Tensor]]) -> list[int]:
    return [tree["a"].data_ptr(), *(tensor.data_ptr() for tensor in tree["b"])]

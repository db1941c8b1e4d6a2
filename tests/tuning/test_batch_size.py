"""The largest batch that fits is found by real steps in processes that may die of them."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from runner.data.batches import Batches
from runner.errors import ConfigError, RunError
from runner.training.parts import Parts
from runner.tuning.batch_size import find_batch_size, measure, search
from tests.commands.command import call
from tests.training.harness import tiny_data, tiny_options, tiny_parts


class Hungry(nn.Module):
    """Runs out of memory, as a GPU does, with more than `most` samples."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.layer = nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        if len(inputs) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.layer(inputs)


def hungry(size: int) -> Parts:
    return tiny_parts(tiny_options(batch_size=size), model=Hungry(11), scheduler=None)


def greedy(size: int) -> Parts:
    """Take 64 MB a sample, and keep them."""
    parts = tiny_parts(tiny_options(batch_size=size), model=nn.Linear(8, 3), scheduler=None)
    parts.model.register_forward_pre_hook(
        lambda module, inputs: setattr(module, "kept", torch.ones(len(inputs[0]), 16_000_000))
    )
    return parts


def wrong(size: int) -> Parts:
    return tiny_parts(tiny_options(batch_size=size), model=nn.Linear(9, 3), scheduler=None)


@pytest.mark.parametrize("most", [1, 5, 16, 100, 1000, 4095])
@pytest.mark.parametrize("start", [1, 64, 300])
def test_the_search_ends_at_most_a_sixteenth_below_the_largest(most: int, start: int) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= most

    found = search(fits, start=start, largest=4096)
    assert most - max(1, most // 16) <= found <= most
    assert len(tried) == len(set(tried)) <= 20


def test_the_search_stops_at_the_largest_that_is_allowed() -> None:
    assert search(lambda _: True, start=64, largest=1000) == 1000
    assert search(lambda _: False, start=64, largest=1000) == 0


def test_out_of_memory_is_the_end() -> None:
    found = find_batch_size(hungry, start=4)
    assert found.largest == 11
    assert [tried.size for tried in found.tried] == [4, 8, 16, 12, 10, 11]
    assert {tried.size for tried in found.tried if not tried.fits} == {12, 16}
    assert all(tried.samples_per_second > 0 for tried in found.tried if tried.fits)


def test_nothing_larger_than_allowed_is_tried() -> None:
    found = find_batch_size(hungry, start=8, largest=2)
    assert [tried.size for tried in found.tried] == [2]


def test_ready_made_batches_have_the_size_they_have() -> None:
    batches = [(torch.zeros(2, 8), torch.zeros(2, dtype=torch.long))]
    data = tiny_data(train=Batches(batches))
    parts = tiny_parts(tiny_options(), data=data, scheduler=None)
    with pytest.raises(ConfigError, match="ready-made batches"):
        measure(parts, size=2)


def test_a_batch_of_all_samples_is_the_largest() -> None:
    found = measure(tiny_parts(tiny_options(batch_size=99), scheduler=None), size=99)
    assert not found.is_whole


@pytest.mark.slow  # many processes
def test_a_process_that_takes_too_much_memory_does_not_fit() -> None:
    found = find_batch_size(greedy, start=2, memory_gib=1.0)
    assert 2 <= found.largest <= 14
    assert any(not tried.fits for tried in found.tried)


@pytest.mark.slow
def test_another_mistake_is_told_as_it_is() -> None:
    with pytest.raises(RunError, match=r"a batch of 4 fails: RuntimeError: mat1 and mat2"):
        find_batch_size(wrong, start=4)


@pytest.mark.slow
def test_the_command_prints_the_largest_batch_and_leaves_nothing(tmp_path: Path) -> None:
    done = call("find-batch-size", "+experiment=digits", "--largest", "128", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the largest that fits: data.batch_size=128" in done.stdout
    assert not list(tmp_path.iterdir())

"""One model on several devices. Here they are all the CPU: the hooks run, the maps are checked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runner.config.combinations import check_combinations, check_ranks
from runner.config.options import HardwareOptions, Options
from runner.errors import ConfigError
from runner.runtime import device_map
from runner.runtime.device_map import spread_over_devices
from tests.training.harness import CPU, final_state, journal_of, same, tiny_options, train


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.2), nn.BatchNorm1d(8))
        self.head = nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.body(inputs))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight


def test_a_map_hooks_each_part_and_keeps_names_and_results() -> None:
    plain, spread = Two().eval(), Two().eval()
    assert spread_over_devices(spread, {"body": "cpu", "head": "cpu"}, CPU) == CPU
    assert list(spread.state_dict()) == list(plain.state_dict())
    assert hasattr(spread.body, "_hf_hook")
    assert hasattr(spread.head, "_hf_hook")
    inputs = torch.randn(4, 8)
    assert torch.equal(spread(inputs), plain(inputs))


@pytest.mark.parametrize("more", [{}, {"gradient_checkpointing": True}])
def test_a_training_with_a_map_is_the_same_and_its_checkpoints_go_on_without(
    tmp_path: Path, more: dict[str, Any]
) -> None:
    options = tiny_options(max_epochs=2, ema_decay=0.9, **more)
    maps: list[Any] = [None, "auto", {"body.0": "cpu", "body": "cpu", "head": "cpu"}]
    for number, places in enumerate(maps):
        with_map = replace(options, hardware=HardwareOptions(device="cpu", device_map=places))
        half = replace(with_map, trainer=replace(options.trainer, max_epochs=1))
        scheduler = {"scheduler": None}  # its length is that of the first job
        train(tmp_path / str(number), half, model=Two(), **scheduler)
        train(tmp_path / str(number), options, model=Two(), **scheduler)
    for number in (1, 2):
        assert same(final_state(tmp_path / "0"), final_state(tmp_path / str(number)))
        assert journal_of(tmp_path / "0") == journal_of(tmp_path / str(number))


@pytest.mark.parametrize(
    ("model", "places", "message"),
    [
        (Two(), {"body": "cpu", "haed": "cpu"}, "haed is no module of Two - did you mean 'head'"),
        (Two(), {"body": "cpu"}, "has no device for head.weight, head.bias: name a module"),
        (Two(), {"body": 97, "head": "cpu"}, "body=97: this machine has .* cuda device"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(model: Any, places: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spread_over_devices(model, places, CPU)


def test_maps_for_several_gpus_are_checked_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"first\.weight and second\.weight, which are one param"):
        spread_over_devices(Tied(), {"first": 0, "second": "cuda:1"}, CPU)
    with pytest.raises(ConfigError, match="devices of kinds cpu and cuda: parts that wait"):
        spread_over_devices(Two(), {"body": 0, "head": "cpu"}, CPU)
    assert device_map._device("body", "1") == torch.device("cuda", 1)


def test_auto_spreads_over_gpus_and_cuts_no_block(monkeypatch: pytest.MonkeyPatch) -> None:
    import accelerate.utils

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)

    model = nn.Sequential(*(Block() for _ in range(4)))
    size = sum(p.nbytes for p in model.parameters())
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    room = {0: size * 85 // 100, 1: size * 6 // 10, "cpu": 10 * size}  # a block of it stays free
    monkeypatch.setattr(accelerate.utils, "get_balanced_memory", lambda *_, **__: dict(room))
    places = device_map._inferred(model, torch.device("cuda", 0))
    assert places == {str(i): torch.device("cuda", i // 2) for i in range(4)}
    room |= {1: size // 10}
    with pytest.raises(ConfigError, match="auto: Sequential does not fit the GPUs"):
        device_map._inferred(model, torch.device("cuda", 0))


def test_options_that_exclude_each_other_are_told() -> None:
    several = Options(hardware=HardwareOptions(num_processes=2, device_map="auto"))
    (problem,) = check_ranks(several, 2)
    assert problem.startswith("hardware.device_map puts one model on several devices, and 2 ranks")
    both = Options(hardware=HardwareOptions(sharding="fsdp", device_map="auto"))
    assert any("two ways to spread one model" in p for p in check_combinations(both, None))
    with pytest.raises(ConfigError, match="must be auto, or name a device for each module"):
        HardwareOptions(device_map="balanced")
    with pytest.raises(ConfigError, match=r"device_map\.head must be cpu, mps, cuda:0 or the num"):
        HardwareOptions(device_map={"head": "disk"})

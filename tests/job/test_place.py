from dataclasses import replace

import pytest
import torch

from runner.config.options import HardwareOptions, LoaderOptions, Options
from runner.errors import ConfigError
from runner.job.place import take_place, wants_ranks
from runner.runtime import device


def options(count: int = 1, *, batch_size: int = 4, device: str = "cpu") -> Options:
    return Options(
        hardware=HardwareOptions(num_processes=count, device=device),
        loader=LoaderOptions(batch_size=batch_size),
    )


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is the second of two ranks."""
    for key, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(key, value)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_count", lambda kind: {"cpu": 1, "cuda": 2}.get(kind, 0))
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)


def test_ranks_are_wanted_where_nobody_has_started_them() -> None:
    assert wants_ranks(options(2))
    assert not wants_ranks(options(1))


@pytest.mark.usefixtures("launched")
def test_ranks_of_a_launcher_are_enough() -> None:
    assert not wants_ranks(options(1))
    assert not wants_ranks(options(2))
    with pytest.raises(ConfigError, match="num_processes=4, and the launcher .* started 2"):
        wants_ranks(options(4))
    with pytest.raises(ConfigError, match="data.batch_size=5 .* 2 ranks cannot"):
        wants_ranks(options(1, batch_size=5))


@pytest.mark.usefixtures("two_gpus")
def test_more_ranks_than_gpus_are_refused_before_they_start() -> None:
    assert wants_ranks(options(2, device="cuda"))
    with pytest.raises(ConfigError, match="rank 3 on this machine has no GPU of its own"):
        wants_ranks(options(4, device="auto"))
    with pytest.raises(ConfigError, match="cuda:1 is one device"):
        wants_ranks(options(2, device="cuda:1"))


@pytest.mark.usefixtures("two_gpus", "launched")
def test_each_rank_has_its_own_gpu() -> None:
    place = take_place(options(device="auto"))
    assert place.device == torch.device("cuda", 1)
    assert not place.is_main
    assert (
        take_place(replace(options(), hardware=HardwareOptions(device="cpu"))).device.type == "cpu"
    )


def test_a_process_alone_is_the_main_one() -> None:
    place = take_place(options())
    assert place.is_main and place.launch is None

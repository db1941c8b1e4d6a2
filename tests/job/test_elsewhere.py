"""What a cluster will run is checked on a login node: without its GPUs, and with fewer of them."""

from typing import Any

import pytest
import torch
from omegaconf import open_dict
from torch import nn

from runner.config.compose import compose
from runner.config.run_config import RunConfig
from runner.config.validate import validate
from runner.errors import ConfigError
from runner.job.elsewhere import on_cluster
from runner.job.rehearsal import rehearse
from runner.sweeps.checks.findings import Findings

HERE = "tests.job.test_elsewhere"
NO_GPU_HERE = "this machine has no cuda device"


class Net(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(64, num_classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layer(inputs.flatten(1))


class OnlyOnGpus(Net):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("Expected a CUDA tensor")


class WrongShape(Net):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layer(inputs)


@pytest.fixture(autouse=True)
def login_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)


def config(*overrides: str, net: str = "Net") -> RunConfig:
    cfg = compose(["hardware.threads=1", *overrides])
    with open_dict(cfg):
        cfg.model = {"_target_": f"{HERE}.{net}", "num_classes": 10}
    return validate(cfg)


def found(*overrides: str, net: str = "Net", **options: Any) -> Findings:
    read = on_cluster(config(*overrides, net=net))
    (findings,) = rehearse([read], is_elsewhere=True, **options)
    return findings


def test_a_run_for_a_gpu_is_tried_on_the_cpu_and_not_timed() -> None:
    seen = found("hardware=cuda", "precision=tf32", is_timed=True)
    assert seen.problems == []
    assert seen.warnings == [f"checked on the CPU: {NO_GPU_HERE}"]
    assert seen.facts["parameters"] == 650
    assert "seconds_per_step" not in seen.facts


def test_what_is_wrong_with_the_model_is_found_on_the_cpu() -> None:
    (problem,) = found("hardware=cuda", net="WrongShape").problems
    assert problem.startswith("the forward pass failed: RuntimeError: mat1 and mat2")


def test_what_needs_a_gpu_is_no_mistake() -> None:
    seen = found("hardware=cuda", net="OnlyOnGpus")
    assert seen.problems == []
    note, ended = seen.warnings
    assert note == f"checked on the CPU: {NO_GPU_HERE}"
    assert ended.startswith("not tried to the end: the forward pass failed: RuntimeError: Expected")


def test_a_gpu_that_is_asked_for_counts_as_cuda() -> None:
    assert found("hardware.slurm.gpus_per_node=1").warnings == [
        f"checked on the CPU: {NO_GPU_HERE}"
    ]
    assert found().warnings == []  # on the CPU there as well


def test_more_ranks_than_there_are_gpus_are_tried_as_one_of_them() -> None:
    seen = found("hardware=cuda", "hardware.slurm.nodes=2", "hardware.slurm.tasks_per_node=4")
    assert seen.problems == []
    assert seen.facts["batch"] == "input 8x1x8x8, target 8"  # its share of 64
    assert any(warning.startswith("tried as one of 8 ranks") for warning in seen.warnings)


@pytest.mark.parametrize(
    ("overrides", "note"),
    [
        (
            ("hardware=cuda", "precision=fp16"),
            f"checked as a config only: precision=fp16 is for GPUs, and {NO_GPU_HERE}",
        ),
        (
            ("hardware=fsdp", "hardware.device=cuda"),
            "checked as a config only: hardware.sharding=fsdp spreads the model over GPUs, and "
            f"{NO_GPU_HERE}",
        ),
        (
            ("hardware.device_map={layer: 3}",),
            "checked as a config only: hardware.device_map is about the GPUs of the cluster",
        ),
    ],
)
def test_what_a_cpu_cannot_do_is_not_tried(overrides: tuple[str, ...], note: str) -> None:
    assert found(*overrides) == Findings(warnings=[note])


def test_ranks_that_cannot_share_a_batch_are_told() -> None:
    with pytest.raises(ConfigError) as error:
        on_cluster(config("hardware.slurm.nodes=3", "hardware.slurm.tasks_per_node=1"))
    assert "data.batch_size=64 counts the samples of all ranks, and 3 ranks" in str(error.value)
    with pytest.raises(ConfigError, match="cannot be shared evenly"):
        on_cluster(config("hardware.slurm.nodes=2"))


def test_without_the_cluster_nothing_changes() -> None:
    (findings,) = rehearse([config("hardware=cuda")])
    (problem,) = findings.problems
    assert problem.startswith("hardware.device=cuda: this machine has 0 cuda device(s)")

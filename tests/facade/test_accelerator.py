from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from runner.config.options import HardwareOptions, Options, PrecisionOptions
from runner.errors import ConfigError
from runner.facade.accelerator import options_with
from tests.commands.command import only_run
from tests.commands.test_ranks import launch


class Fake:
    """What runner looks at of an `accelerate.Accelerator`."""

    def __init__(self, **changes: Any) -> None:
        self.device = torch.device("cuda:0")
        self.mixed_precision = "bf16"
        self.gradient_accumulation_steps = 1
        self.num_processes = 1
        vars(self).update(changes)


def test_the_real_one_is_understood() -> None:
    accelerate = pytest.importorskip("accelerate")
    made = accelerate.Accelerator(cpu=True, mixed_precision="bf16")
    options = options_with(made, Options())
    assert options.hardware.device == "cpu"
    assert options.precision.autocast == "bf16"
    accumulating = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=4)
    with pytest.raises(ConfigError, match="trainer.gradient_accumulation_steps=4"):
        options_with(accumulating, Options())


def test_device_and_number_format_are_taken_over() -> None:
    options = options_with(Fake(), Options(seed=3))
    assert (options.hardware.device, options.precision.autocast) == ("cuda:0", "bf16")
    assert options.seed == 3
    assert options_with(Fake(mixed_precision="no"), Options()).precision.autocast is None


def test_each_of_several_ranks_finds_its_own_device() -> None:
    options = options_with(Fake(num_processes=2, device=torch.device("cuda:1")), Options())
    assert options.hardware.device == "cuda"


def test_options_that_say_the_same_are_no_contradiction() -> None:
    options = Options(
        hardware=HardwareOptions(device="cuda"), precision=PrecisionOptions(autocast="bf16")
    )
    assert options_with(Fake(), options) == replace(
        options, hardware=replace(options.hardware, device="cuda:0")
    )


@pytest.mark.parametrize(
    ("accelerator", "options", "sentence"),
    [
        (Fake(gradient_accumulation_steps=2), Options(), "weighs it by its targets"),
        (Fake(mixed_precision="fp8"), Options(), "mixed_precision=fp8 is not supported"),
        (Fake(), Options(hardware=HardwareOptions(device="cpu")), "hardware.device=cpu, and the"),
        (Fake(), Options(precision=PrecisionOptions(autocast="fp16")), "precision.autocast=fp16"),
        (Fake(log_with=["wandb"]), Options(), "its log_with is not taken over.*trackers="),
        (
            Fake(state=SimpleNamespace(dynamo_plugin=SimpleNamespace(backend="INDUCTOR"))),
            Options(),
            "its dynamo backend INDUCTOR is not .*trainer.compile=true",
        ),
        (
            Fake(state=SimpleNamespace(fsdp_plugin=object())),
            Options(),
            "its FSDP plugin is not .*hardware.sharding=fsdp",
        ),
        (
            Fake(state=SimpleNamespace(deepspeed_plugins=object())),
            Options(),
            "its DeepSpeed plugin is not",
        ),
        (3, Options(), "must be an accelerate.Accelerator, got 3"),
    ],
)
def test_what_cannot_be_taken_over_is_refused(
    accelerator: Any, options: Options, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        options_with(accelerator, options)


def test_a_number_format_that_was_written_counts_though_it_is_the_default() -> None:
    with pytest.raises(ConfigError, match="precision.autocast=None, and the accelerator says bf16"):
        options_with(Fake(), Options(), {"precision.autocast"})


SCRIPT = """\
import torch
from accelerate import Accelerator
from torch.utils.data import TensorDataset

from runner import Trainer
from runner.tasks.classification import Classification

accelerator = Accelerator(cpu=True)
assert accelerator.num_processes == 2
trainer = Trainer(
    model=torch.nn.Linear(4, 2),
    task=Classification(num_classes=2),
    data=TensorDataset(torch.randn(16, 4), torch.arange(16) % 2),
    options={"trainer.max_epochs": 2, "data.batch_size": 8},
    accelerator=accelerator,
    trackers=[],
)
print("STEPS", trainer.fit().step)
"""


@pytest.mark.slow
def test_the_ranks_of_an_accelerator_train_one_run(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = launch("torchrun", "--nproc-per-node", "2", "script.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("STEPS 4") == 2
    assert only_run(tmp_path)

"""What keeps an experiment from resuming exactly is found and named, in packages of a user."""

from pathlib import Path

import pytest

from runner.cli.verify import verify_resume
from tests.verify.jobs import ForkedJob

SILENT = "random numbers that no seed reaches"

COMMON = """
import random
import time

import torch
from torch import nn
from torch.utils.data import TensorDataset

from runner import Callback, Data


def rows(count):
    generator = torch.Generator().manual_seed(count)
    return TensorDataset(torch.randn(count, 64, generator=generator), torch.arange(count) % 10)


class Rows:
    def __init__(self):
        self.rows = rows(40)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


def data():
    return Data(train=rows(40), evaluation=rows(10))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, inputs):
        return self.layer(inputs)


class Watch(Callback):
    pass
"""

# name -> (the sin, what the finding must say)
SINS = {
    "unseeded_augmentation": (
        """
def jitter(batch, draws):
    return {**batch, "input": batch["input"] * random.SystemRandom().random()}


def data():
    return Data(train=rows(40), evaluation=rows(10), augment=jitter)
""",
        ("two straight runs differ", "step 1, augmented batches", "augmentation (data.augment)"),
    ),
    "unseeded_samples": (
        """
class Blinking(Rows):
    def __getitem__(self, index):
        inputs, target = self.rows[index]
        return inputs + time.time_ns() % 1000, target


def data():
    return Data(train=Blinking(), evaluation=rows(10))
""",
        ("two straight runs differ", "step 1, samples", "unseeded randomness in the data"),
    ),
    "unseeded_forward": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, inputs):
        return self.layer(inputs) * random.SystemRandom().random()
""",
        ("two straight runs differ", "step 1, losses", "trainer.deterministic=true"),
    ),
    "counting_dataset": (
        """
class Counting(Rows):
    asked = 0

    def __getitem__(self, index):
        self.asked += 1
        inputs, target = self.rows[index]
        return inputs + 0.01 * self.asked, target


def data():
    return Data(train=Counting(), evaluation=rows(10))
""",
        ("differs after a resume", "samples", "the dataset, its collate function, a sampler"),
    ),
    "counting_model": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)
        self.calls = 0

    def forward(self, inputs):
        self.calls += 1
        return self.layer(inputs) * (1 + 0.01 * self.calls)
""",
        ("differs after a resume", "losses", "hidden state in the model", "register_buffer"),
    ),
    "unsaved_buffer": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, inputs):
        self.calls += 1
        return self.layer(inputs) * (1 + 0.01 * self.calls)
""",
        ("what was restored, calls", "a buffer of the model", "persistent=True"),
    ),
    "shrinking_callback": (
        """
class Watch(Callback):
    count = 0

    def on_step_end(self, fit):
        self.count += 1
        with torch.no_grad():
            for parameter in fit.model.parameters():
                parameter.mul_(1 - 0.001 * self.count)
""",
        (
            "differs after a resume",
            "weights after the callbacks, layer.weight",
            "callbacks.watch keeps no state",
        ),
    ),
    "forgetful_callback": (
        """
class Watch(Callback):
    count = 0

    def on_step_end(self, fit):
        self.count += 1

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        pass
""",
        ("at the end, checkpoint: callbacks.watch, count", "callbacks.watch does not come back"),
    ),
}


@pytest.mark.parametrize("name", SINS)
def test_a_sin_is_found_and_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sin, expected = SINS[name]
    monkeypatch.setattr("runner.verify.runs.start_job", ForkedJob)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / f"{name}.py").write_text(COMMON + sin)
    for node, target in (("data/mine", "data"), ("model/mine", "Net")):
        write_conf(tmp_path, node, f"_target_: {name}.{target}\n")
    write_conf(tmp_path, "callbacks/mine", f"watch:\n  _target_: {name}.Watch\n")
    overrides = ["model=mine", "data=mine", "callbacks=mine", "data.batch_size=8"]
    code = verify_resume(overrides, steps=8, keep=False)
    said = capsys.readouterr().out
    assert code == 1, said
    for words in expected:
        assert words in said.partition("DOES NOT RESUME EXACTLY")[2], said
    assert "the runs are kept in" in said


def write_conf(folder: Path, name: str, text: str) -> None:
    path = folder / "conf" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

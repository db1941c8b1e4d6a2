"""Models that know nothing of runner, named in a conf folder of one's own by `_target_` alone."""

import json
from pathlib import Path

import pytest
import yaml

from tests.commands.command import BARE, call, only_run

# In the manner of timm's models: a class with its usual arguments and methods, and a factory.
CONVNET = """
import torch
from torch import nn


class TinyResNet(nn.Module):
    def __init__(self, num_classes=1000, in_chans=3, global_pool="avg", drop_rate=0.0):
        super().__init__()
        self.num_classes = num_classes
        self.drop_rate = drop_rate
        self.conv_stem = nn.Conv2d(in_chans, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(2)))
        self.fc = nn.Linear(8, num_classes)

    def forward_features(self, x):
        x = torch.relu(self.bn1(self.conv_stem(x)))
        for block in self.blocks:
            x = x + torch.relu(block(x))
        return x

    def forward_head(self, x, pre_logits=False):
        x = nn.functional.dropout(x.mean((2, 3)), self.drop_rate, self.training)
        return x if pre_logits else self.fc(x)

    def forward(self, x):
        return self.forward_head(self.forward_features(x))


def create_model(model_name, pretrained=False, **kwargs):
    assert not pretrained
    return {"tiny_resnet": TinyResNet}[model_name](**kwargs)
"""

PLAIN = """
from torch import nn


class Net(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU())
        self.out = nn.Linear(hidden, 10)

    def forward(self, images):
        return self.out(self.net(images))
"""

BERT = """\
  vocab_size: 28
  num_labels: 2
  dim: 16
  hidden_dim: 16
  n_layers: 1
  n_heads: 2
  max_position_embeddings: 8
"""

MODELS = {
    "convnet_class": (
        "convnets.TinyResNet",
        "num_classes: ${task.num_classes}\nin_chans: 1\ndrop_rate: 0.1\n",
        [],
    ),
    "convnet_factory": (
        "convnets.create_model",
        "model_name: tiny_resnet\nnum_classes: ${task.num_classes}\nin_chans: 1\n",
        [],
    ),
    "plain": ("nets.Net", "hidden: 16\n", []),
    "of_transformers": (
        "transformers.DistilBertForSequenceClassification",
        f"config:\n  _target_: transformers.DistilBertConfig\n{BERT}",
        ["+experiment=sequence_classifier"],
    ),
    "pretrained": (
        "transformers.AutoModelForSequenceClassification.from_pretrained",
        "pretrained_model_name_or_path: pretrained\n",
        ["+experiment=sequence_classifier"],
    ),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "conf" / "model").mkdir(parents=True)
    for name, (target, rest, _) in MODELS.items():
        file = folder / "conf" / "model" / f"{name}.yaml"
        file.write_text(f"# Mine.\n_target_: {target}\n{rest}", encoding="utf-8")
    (folder / "convnets.py").write_text(CONVNET, encoding="utf-8")
    (folder / "nets.py").write_text(PLAIN, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_a_model_trains_and_resumes_without_a_wrapper(project: Path, name: str) -> None:
    target, _, overrides = MODELS[name]
    if target.startswith("transformers"):
        transformers = pytest.importorskip("transformers")
    if name == "pretrained":
        config = transformers.DistilBertConfig(**yaml.safe_load(BERT))
        model = transformers.DistilBertForSequenceClassification(config)
        model.save_pretrained(project / "pretrained")
    limits = ("trainer.max_epochs=null", "trainer.max_steps=3", "debug.limit_batches=2")
    shape = (*overrides, f"model={name}", "name=mine", "scheduler=constant", *limits, *BARE)
    done = call(*shape, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    directory = only_run(project, "mine")
    longer = call("resume", str(directory), "trainer.max_steps=5", cwd=project)
    assert longer.returncode == 0, longer.stdout + longer.stderr
    status = json.loads((directory / "status.json").read_text(encoding="utf-8"))
    assert (status["state"], status["step"]) == ("completed", 5)
    config = yaml.safe_load((directory / "config.yaml").read_text(encoding="utf-8"))
    assert config["model"]["_target_"] == target


def test_a_typo_in_the_config_of_a_foreign_model_is_told_before_it_runs(project: Path) -> None:
    pytest.importorskip("transformers")
    arguments = ("+experiment=sequence_classifier", "model=of_transformers", *BARE)
    done = call(*arguments, "+model.config.n_layer=2", cwd=project)
    assert done.returncode == 2
    assert "transformers.DistilBertConfig has no parameter 'n_layer'" in done.stderr
    assert "did you mean 'n_layers'" in done.stderr

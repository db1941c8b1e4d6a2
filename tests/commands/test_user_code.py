"""A user's own package and conf, in a folder of their own, beside a runner that nobody touched."""

import json
from pathlib import Path

import pytest
import yaml

from tests.commands.command import BARE, call, only_run, run

PACKAGE = '''
import torch
from runner import Data


class Blobs:
    """Points around two centres."""

    deterministic = True

    def __init__(self, size, spread):
        generator = torch.Generator().manual_seed(size)
        self.labels = torch.arange(size) % 2
        self.points = torch.randn(size, 2, generator=generator) * spread
        self.points += 4.0 * self.labels[:, None]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.points[index], self.labels[index]


def blobs(size: int, spread: float = 0.5) -> Data:
    return Data(train=Blobs(size, spread), evaluation=Blobs(size // 2, spread))


class Line(torch.nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, num_classes)

    def forward(self, points):
        return self.layer(points)
'''

CONF = {
    "data/blobs": "# Two heaps of points.\n_target_: points.blobs\nsize: 64\nspread: 0.5\n",
    "model/line": "# One linear layer.\n_target_: points.Line\nnum_classes: ${task.num_classes}\n",
    # Shadows the file that runner ships.
    "optimizer/adamw": "# Mine.\n_target_: torch.optim.AdamW\n_partial_: true\nlr: 0.123\n",
    "experiment/two_heaps": """\
# @package _global_
# Tell two heaps apart.
defaults:
  - override /data: blobs
  - override /model: line

name: two_heaps
task:
  num_classes: 2
trainer:
  max_epochs: 5
""",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name, text in CONF.items():
        path = folder / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "src").mkdir()
    (folder / "src/points.py").write_text(PACKAGE)
    return folder


def test_an_experiment_of_the_users_runs_and_their_files_come_first(project: Path) -> None:
    done = run("+experiment=two_heaps", *BARE, cwd=project)
    assert done.returncode == 0, done.stderr
    directory = only_run(project, "two_heaps")
    assert json.loads((directory / "status.json").read_text())["state"] == "completed"
    config = yaml.safe_load((directory / "config.yaml").read_text())
    assert config["optimizer"] == {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.123}
    assert config["data"]["batch_size"] == 64

    (project / "src/points.py").rename(project / "points.py")
    longer = run("resume", str(directory), "trainer.max_epochs=6", cwd=project)
    assert longer.returncode == 0, longer.stderr


def test_from_another_folder_config_dir_names_it(project: Path, tmp_path: Path) -> None:
    arguments = ("--config-dir", str(project / "conf"), "+experiment=two_heaps", *BARE)
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load((only_run(tmp_path, "two_heaps") / "config.yaml").read_text())
    assert config["optimizer"]["lr"] == 0.123


def test_the_environment_names_it_too(project: Path, tmp_path: Path) -> None:
    done = run("--cfg", "job", cwd=tmp_path, RUNNER_CONFIG_DIR=str(project / "conf"))
    assert "lr: 0.123" in done.stdout


def test_the_overview_shows_the_users_experiment(project: Path) -> None:
    shown = call(cwd=project).stdout
    assert "Tell two heaps apart." in shown
    assert "blobs" in shown


def test_mistakes_in_the_users_code_are_told_like_ours(project: Path) -> None:
    done = run("+experiment=two_heaps", "+data.spred=1", *BARE, cwd=project)
    assert done.returncode == 2
    assert "points.blobs has no parameter 'spred' - did you mean 'spread'?" in done.stderr

from pathlib import Path

import torch
from project_name.data import spirals
from project_name.model import Net
from project_name.task import Spirals

from runner import Trainer


def test_the_model_gives_a_number_for_each_class() -> None:
    assert Net(num_classes=3)(torch.zeros(5, 2)).shape == (5, 3)


def test_it_learns(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trainer = Trainer(
        model=Net(),
        task=Spirals(),
        data=spirals(),
        optimizer={"name": "adamw", "lr": 1e-2},
        options={"trainer.max_epochs": 20, "data.batch_size": 32, "hardware.threads": 1},
        callbacks={},
        trackers={},
        output_dir=tmp_path,
    )
    assert trainer.fit().test["accuracy"] > 0.9

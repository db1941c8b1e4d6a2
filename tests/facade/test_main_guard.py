"""A script without a guard, whose workers import it."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import torch
from torch import nn
from torch.utils.data import TensorDataset

from runner import Trainer

split = TensorDataset(torch.randn(8, 3), torch.tensor([0, 1] * 4))
Trainer(
    model=nn.Linear(3, 2), loss="cross_entropy", data=split, callbacks={}, trackers={},
    options={"data.num_workers": 1, "trainer.max_steps": 1},
).fit()
"""


def test_its_workers_do_not_train_again_and_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode != 0
    assert "put what it does below  if __name__ == '__main__':" in done.stderr
    assert len(list((tmp_path / "outputs" / "run").iterdir())) == 1

"""Running out of memory: simulated here, real in a process of its own with a limit of memory."""

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from runner.data.data import Batch
from runner.errors import Interrupted, RunError
from runner.runtime.ranks import ALONE
from runner.tasks.classification import Classification
from runner.tasks.task import StepOutput
from runner.training.splitting import Splitting
from tests.training.harness import StopAt, final_state, journal_of, same, tiny_options, train


class Hungry(Classification):
    """Runs out of memory with more than `room` samples, after having drawn random numbers."""

    def __init__(self, room: int) -> None:
        super().__init__(num_classes=3)
        self.room = room

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        output = super().training_step(model, batch)
        if len(batch["input"]) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory, as torch says it")
        return output


def plain_model(**_: Any) -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


def test_a_step_in_pieces_is_the_same_step(tmp_path: Path) -> None:
    whole, split = tmp_path / "whole", tmp_path / "split"
    torch.manual_seed(1)
    train(whole, tiny_options(), model=plain_model())
    torch.manual_seed(1)
    options = tiny_options(on_out_of_memory="split")
    train(split, options, model=plain_model(), task=Hungry(room=2))
    for name, tensor in final_state(whole)[0].items():
        assert torch.allclose(tensor, final_state(split)[0][name], atol=1e-5), name
    assert final_state(split)[1]["splitting"] == {"num_pieces": 2}
    assert "in 2 pieces" in (split / "logs" / "rank_0.log").read_text()


def test_a_run_in_pieces_is_resumed_exactly(tmp_path: Path) -> None:
    """Dropout is on: what the failed attempt has drawn must not count."""
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    options = tiny_options(on_out_of_memory="split")
    train(straight, options, task=Hungry(room=2))
    with pytest.raises(Interrupted):
        train(resumed, options, task=Hungry(room=2), callbacks={"stop": StopAt(7)})
    train(resumed, options, task=Hungry(room=2))
    assert same(final_state(straight), final_state(resumed))
    assert journal_of(straight) == journal_of(resumed)


def test_without_split_the_error_ends_the_run_at_the_last_boundary(tmp_path: Path) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        train(tmp_path, tiny_options(), task=Hungry(room=2))
    assert final_state(tmp_path)[1]["progress"]["step"] == 0


def test_a_single_sample_that_does_not_fit_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="with a single sample"):
        train(tmp_path, tiny_options(on_out_of_memory="split"), task=Hungry(room=0))


def test_a_batch_that_cannot_be_split_is_told() -> None:
    splitting = Splitting()
    assert splitting.grow(MemoryError(), size=4, ranks=ALONE)
    with pytest.raises(RunError, match=r"batch\['lengths'\] has 9 rows for 4 samples"):
        splitting.pieces({"image": torch.zeros(4, 2), "lengths": torch.zeros(9)}, 4)
    pieces = splitting.pieces({"x": torch.arange(4), "n": 3, "texts": list("abcd")}, 4)
    assert [p["texts"] for p in pieces] == [["a", "b"], ["c", "d"]]
    assert [p["n"] for p in pieces] == [3, 3]


REAL = """
    import resource, sys
    from pathlib import Path
    import torch
    from torch import nn
    from torch.utils.data import TensorDataset
    from tests.training.harness import tiny_data, tiny_options, train

    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(8, 40_000)
            self.outer = nn.Linear(40_000, 3)
        def forward(self, x):
            return self.outer(self.inner(x).relu())

    torch.set_num_threads(1)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 800_000_000, resource.RLIM_INFINITY))
    inputs, targets = torch.randn(4096, 8), torch.arange(4096) % 3
    data = tiny_data(train=TensorDataset(inputs, targets), evaluation=None, test=None)
    options = tiny_options(on_out_of_memory="split", batch_size=4096, max_epochs=2)
    print(train(Path(sys.argv[1]), options, data=data, model=Wide()).step)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is enforced on Linux alone")
def test_memory_that_really_runs_out_is_split(tmp_path: Path) -> None:
    """The activations of a whole batch take 650 MB twice: more than the process may have."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REAL), str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "2"
    assert "pieces from now on" in done.stderr
    assert final_state(tmp_path)[1]["splitting"]["num_pieces"] > 1

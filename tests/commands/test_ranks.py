"""Several ranks from one command: they end together, whatever ends one of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from runner.run.directory import RunDirectory
from runner.run.status import read_status
from tests.commands.command import BARE, SOURCES, call, only_run, run, start
from tests.commands.test_run import newest_weights, rows, status, wait_for

PACKAGE = '''
import os
import signal
import time

import torch
from torch import distributed, nn


class Net(nn.Module):
    """Waits for the other ranks at every step, and at the fifth does what MISCHIEF says."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_features, num_classes)
        self.count = 0
        self.mischief, _, self.who = os.environ.get("MISCHIEF", "none:9").partition(":")

    def forward(self, inputs):
        if self.training:
            self.count += 1
            time.sleep(float(os.environ.get("STEP_SECONDS", "0")))
            if self.count == 5 and os.environ.get("RANK", "0") == self.who:
                self.misbehave()
            if distributed.is_initialized():
                distributed.barrier()
        return self.layer(inputs.flatten(1))

    def misbehave(self):
        if self.mischief == "raise":
            raise ValueError("no luck")
        if self.mischief == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.mischief == "hang":
            while True:
                time.sleep(0.1)
'''
NET = """\
# A linear layer.
_target_: nets.Net
in_features: 64
num_classes: ${task.num_classes}
"""
ONE = ("model=net", "hardware=cpu", "trainer.max_epochs=2", *BARE)
TWO = (*ONE, "hardware.num_processes=2")
FOREVER = ("trainer.max_epochs=1000", "trainer.evaluate_every=null")
TORCHRUN = ("torchrun", "--nproc-per-node", "2")
BIN = Path(sys.executable).parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/net.yaml").write_text(NET)
    (tmp_path / "nets.py").write_text(PACKAGE)
    return tmp_path


def launch(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `command` of the environment that the tests run in, such as torchrun."""
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def ranks_of(process: subprocess.Popen[str], directory: Path) -> list[psutil.Process]:
    """Wait until the ranks train, and return their processes in order."""
    wait_for(directory.parent, f"{directory.name}/logs/rank_1.log")
    wait_for(directory.parent, f"{directory.name}/metrics.jsonl")
    children = psutil.Process(process.pid).children()
    return sorted(children, key=lambda child: int(child.environ()["RANK"]))


def log_of(directory: Path, rank: int) -> str:
    return RunDirectory(directory).log_of_rank(rank).read_text()


@pytest.mark.slow
def test_ranks_are_started_write_one_directory_and_the_score_is_returned(project: Path) -> None:
    done = run("-m", "seed=1,2", *TWO, cwd=project)
    assert done.returncode == 0, done.stderr
    for job in ("0", "1"):
        (directory,) = (project / "outputs/run/sweeps").glob(f"*/{job}")
        assert status(directory)["state"] == "completed"
        assert "done evaluation.loss=" in log_of(directory, 0)
        assert "done evaluation.loss=" in log_of(directory, 1)
        said = (directory / "logs/console.log").read_text(encoding="utf-8")
        assert said.count("done evaluation.loss=") == 1, "rank 1 speaks to the console too"


def test_an_exception_on_one_rank_ends_all_and_is_the_one_that_is_told(project: Path) -> None:
    done = run(*TWO, cwd=project, MISCHIEF="raise:1")
    assert done.returncode == 1
    directory = only_run(project)
    sentence = "rank 1 failed: ValueError: no luck; its traceback is in logs/rank_1.log"
    assert f"error: {sentence}" in done.stderr
    assert status(directory)["state"] == "failed"
    assert sentence in str(status(directory)["error"])
    assert "Traceback" in log_of(directory, 1)
    assert "ValueError: no luck" in log_of(directory, 1)


def test_a_rank_that_is_killed_ends_all(project: Path) -> None:
    done = run(*TWO, cwd=project, MISCHIEF="die:1")
    assert done.returncode == 1
    assert "rank 1 was killed by signal 9 (SIGKILL)" in done.stderr
    assert "rank 1 was killed by signal 9" in str(status(only_run(project))["error"])


@pytest.mark.slow
def test_the_death_of_rank_0_ends_all_and_the_run_is_lost(project: Path) -> None:
    done = run(*TWO, cwd=project, MISCHIEF="die:0")
    assert done.returncode == 1
    assert "rank 0 was killed by signal 9 (SIGKILL)" in done.stderr
    found = read_status(RunDirectory(only_run(project)))
    assert found is not None and found.state == "lost"


def test_ranks_whose_supervisor_is_killed_stop_and_save(project: Path) -> None:
    directory = project / "here"
    process = start(*TWO, *FOREVER, "hydra.run.dir=here", cwd=project, STEP_SECONDS="0.01")
    ranks = ranks_of(process, directory)
    process.kill()
    process.communicate(timeout=60)
    _, alive = psutil.wait_procs(ranks, timeout=60)
    assert not alive
    assert status(directory)["state"] == "preempted"
    assert list(directory.glob("checkpoints/step_*"))


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_to_the_supervisor_stops_all_ranks_and_the_run_goes_on(
    project: Path, number: signal.Signals
) -> None:
    directory = project / "here"
    process = start(*TWO, *FOREVER, "hydra.run.dir=here", cwd=project, STEP_SECONDS="0.01")
    ranks = ranks_of(process, directory)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number, stderr
    assert not any(rank.is_running() for rank in ranks)
    assert status(directory)["state"] == "preempted"
    step = status(directory)["step"]
    end = f"trainer.max_steps={step + 3}"  # type: ignore[operator]
    done = run("resume", str(directory), end, cwd=project)
    assert done.returncode == 0, done.stderr
    assert f"resumed step={step}" in done.stderr
    straight = run(*TWO, *FOREVER, end, "hydra.run.dir=straight", cwd=project)
    assert straight.returncode == 0, straight.stderr
    assert rows(directory) == rows(project / "straight")
    assert newest_weights(directory) == newest_weights(project / "straight")


def test_a_rank_that_hangs_ends_all_and_is_the_one_that_is_named(project: Path) -> None:
    done = run(*TWO, "trainer.hang_timeout=2 seconds", cwd=project, MISCHIEF="hang:1")
    assert done.returncode == 1
    sentence = "rank 1 gave no sign of life for trainer.hang_timeout (2 seconds) and stands at"
    directory = only_run(project)
    assert sentence in done.stderr
    assert "nets.py:" in done.stderr
    assert status(directory)["state"] == "failed"
    assert sentence in str(status(directory)["error"])
    assert "in misbehave" in log_of(directory, 1), "the stacks are not in the log"


def test_a_hang_ends_a_job_of_one_process(project: Path) -> None:
    done = run(*ONE, "trainer.hang_timeout=2 seconds", cwd=project, MISCHIEF="hang:0")
    assert done.returncode == 1
    directory = only_run(project)
    assert "training gave no sign of life for trainer.hang_timeout" in done.stderr
    assert status(directory)["state"] == "failed"
    assert "nets.py" in str(status(directory)["error"])
    assert not RunDirectory(directory).lease.exists()
    assert "in misbehave" in log_of(directory, 0)


@pytest.mark.parametrize(
    "launcher",
    [
        TORCHRUN,
        pytest.param(
            ("accelerate", "launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
             "--mixed_precision", "no", "--dynamo_backend", "no"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda launcher: launcher[0],
)  # fmt: skip
def test_ranks_of_a_launcher_are_recognised(project: Path, launcher: tuple[str, ...]) -> None:
    if not (BIN / launcher[0]).exists():
        pytest.skip(f"{launcher[0]} is not installed")
    done = launch(*launcher, "-m", "runner", *ONE, cwd=project)
    assert done.returncode == 0, done.stderr
    directory = only_run(project)
    assert status(directory)["state"] == "completed"
    assert status(directory)["jobs"] == 1
    assert "done evaluation.loss=" in log_of(directory, 1)
    assert done.stderr.count("done evaluation.loss=") == 1


SCRIPT = """\
from functools import partial

import torch
from torch import nn

from runner import CheckpointOptions, Data, Options, Trainer, TrainerOptions
from runner.config.options import LoaderOptions
from runner.tasks.classification import Classification

points = torch.utils.data.TensorDataset(torch.randn(8, 4), torch.arange(8) % 2)
trainer = Trainer(
    model=nn.Linear(4, 2),
    task=Classification(num_classes=2),
    data=Data(train=points),
    optimizer=partial(torch.optim.SGD, lr=0.0),
    options=Options(
        trainer=TrainerOptions(max_steps=1, best_metric="train.loss", log_every_steps=1),
        loader=LoaderOptions(batch_size=2),
        checkpoint=CheckpointOptions(enabled=False),
    ),
    callbacks={},
    trackers={},
)
trainer.fit()
print("TOLD", trainer.directory.name, trainer.model.weight.sum().item())
"""


@pytest.mark.slow
def test_a_script_with_a_trainer_runs_on_the_ranks_of_a_launcher(project: Path) -> None:
    """Each rank makes a model of its own; they train the one of rank 0, in one directory."""
    (project / "script.py").write_text(SCRIPT)
    done = launch("torchrun", "--nproc-per-node", "2", "script.py", cwd=project)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("TOLD")]
    assert len(told) == 2 and told[0] == told[1]
    assert only_run(project).name == told[0].split()[1]


def test_a_bad_config_is_told_once_by_all_ranks_of_a_launcher(project: Path) -> None:
    done = launch("torchrun", "--nproc-per-node", "2", "-m", "runner", *ONE, "trainer.max_epoch=1",
                  cwd=project)  # fmt: skip
    assert done.returncode != 0
    assert done.stderr.count("error: ") == 1
    assert "max_epochs" in done.stderr
    assert not (project / "outputs").exists()


def test_a_batch_that_the_ranks_cannot_share_is_refused_before_they_start(project: Path) -> None:
    done = call(*TWO, "data.batch_size=5", cwd=project)
    assert done.returncode == 2
    assert "data.batch_size=5 counts the samples of all ranks, and 2 ranks" in done.stderr
    assert not list(project.glob("outputs/run/*"))


@pytest.mark.slow
def test_ranks_on_a_directory_in_use_are_refused_and_leave_it_alone(project: Path) -> None:
    directory = project / "here"
    command = (*TWO, *FOREVER, "hydra.run.dir=here")
    first = start(*command, cwd=project, STEP_SECONDS="0.01")
    try:
        ranks_of(first, directory)
        before = log_of(directory, 1)
        second = run(*command, cwd=project)
        assert second.returncode == 1
        assert "is in use by process" in second.stderr
        assert log_of(directory, 1) == before
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
    assert status(directory)["state"] == "preempted"


@pytest.mark.slow
def test_ranks_look_for_modules_where_the_command_does(tmp_path: Path) -> None:
    """As the jobs of a cluster do: `python -P` does not look first where it stands."""
    (tmp_path / "pickle.py").write_text("raise Exception('not this one')")
    options = ("hardware=cpu", "hardware.num_processes=2", "trainer.max_steps=1", *BARE)
    done = launch("python", "-P", "-m", "runner", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

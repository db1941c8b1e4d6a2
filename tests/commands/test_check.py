"""`check`: models that fail, crash, hang or eat the memory are told in a sentence, in seconds."""

import time
from pathlib import Path

import pytest

from tests.commands.command import BARE, call, run, start

PACKAGE = """
import ctypes
import time

import torch
from torch import nn


class Good(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(64, num_classes)

    def forward(self, inputs):
        return self.layer(inputs.flatten(1))


class WrongShape(Good):
    def forward(self, inputs):
        return self.layer(inputs.flatten(1)[:, :60])


class Segfault(Good):
    def forward(self, inputs):
        return ctypes.string_at(0)


class Hangs(Good):
    def forward(self, inputs):
        while True:
            time.sleep(0.01)


class Eats(Good):
    def forward(self, inputs):
        self.eaten = []
        while True:
            self.eaten.append(torch.ones(4_000_000))


"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(PACKAGE)
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/net.yaml").write_text("_target_: nets.Good\nnum_classes: 10\n")
    (tmp_path / "crashing.py").write_text("import ctypes\n\nctypes.string_at(0)\n")
    return tmp_path


def model(name: str) -> tuple[str, ...]:
    """Return the overrides that choose the user's model `name`."""
    return ("model=net", f"model._target_={name}", "hardware=cpu", *BARE)


def line_of(text: str) -> str:
    """Return "nets.py:12", the line of the package that holds `text`."""
    lines = PACKAGE.splitlines()
    (number,) = (n for n, line in enumerate(lines, 1) if text in line)
    return f"nets.py:{number}"


def files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


def test_a_good_run_is_described_and_leaves_nothing(project: Path) -> None:
    (project / "mine/model").mkdir(parents=True)
    (project / "mine/model/own.yaml").write_text("_target_: nets.Good\nnum_classes: 10\n")
    before = files(project)
    mine = ("--config-dir", "mine", "model=own", "trainer.max_steps=40", *BARE)
    done = run("check", *mine, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "model: 650 parameters" in done.stdout
    assert "batch: input 64x1x8x8, target 64" in done.stdout
    assert "steps: 40 at most" in done.stdout
    assert "a step takes about" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("nothing wrong")
    assert files(project) == before


def test_a_crash_is_told_in_one_sentence(project: Path) -> None:
    before = files(project)
    done = call("check", *model("nets.Segfault"), cwd=project)
    assert done.returncode == 2
    place = line_of("return ctypes")
    assert done.stderr == f"error: the forward pass killed its process (SIGSEGV), at {place}\n"
    assert files(project) == before


def test_models_that_hang_or_eat_the_memory_are_ended(project: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    scratch = {"TMPDIR": str(tmp_path / "scratch")}
    start_time = time.monotonic()
    hangs = start(
        "check", *model("nets.Hangs"), "++sweep.check_timeout=10 seconds", cwd=project, **scratch
    )
    eats = start(
        "check", *model("nets.Eats"), "++sweep.check_memory_gib=1.2", cwd=project, **scratch
    )
    words = {process: process.communicate(timeout=60)[1] for process in (eats, hangs)}
    assert time.monotonic() - start_time < 25
    assert "the forward pass took more than 1.2 GiB (sweep.check_memory_gib)" in words[eats]
    assert (
        "the forward pass did not end within 10 seconds (sweep.check_timeout), at "
        f"{line_of('time.sleep(0.01)')}" in words[hangs]
    )
    assert (hangs.returncode, eats.returncode) == (2, 2)
    assert not list((tmp_path / "scratch").glob("runner_*"))


def test_a_module_that_crashes_when_it_is_imported_is_told(project: Path) -> None:
    done = call("check", *model("crashing.Net"), cwd=project)
    assert done.returncode == 2
    assert "reading the config and importing what it names killed its process" in done.stderr
    assert "(SIGSEGV), at crashing.py:3" in done.stderr


def test_all_mistakes_of_a_config_are_told_at_once(project: Path) -> None:
    done = call(
        "check", *model("nets.Good"), "optimizer.lr=fast", "trainer.max_epochs=0", cwd=project
    )
    assert done.returncode == 2
    assert "2 mistakes" in done.stderr


def test_a_typo_is_told_as_training_tells_it(project: Path) -> None:
    done = call("check", "optimzer=sgd", cwd=project)
    assert done.returncode == 2
    assert "there is no key 'optimzer' - did you mean 'optimizer'?" in done.stderr


def test_the_traceback_is_shown_when_asked_for(project: Path) -> None:
    done = run("check", *model("nets.WrongShape"), cwd=project, HYDRA_FULL_ERROR="1")
    assert done.returncode != 0
    assert "in forward" in done.stderr


def test_options_of_the_launcher_are_checked_too(tmp_path: Path) -> None:
    done = call("check", "hydra/launcher=local", "hydra.launcher.retries=-1", cwd=tmp_path)
    assert done.returncode == 2
    assert "hydra.launcher.retries must be >= 0, got -1" in done.stderr

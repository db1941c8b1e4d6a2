"""Every command of docs/training.md does what the page says; the long ones are made short."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from runner.config.groups import members
from tests.commands.command import BARE, call, only_run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUNNER = "python -m runner"
COMMANDS = [
    line.split(" #")[0].strip()
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
SMALL = ("trainer.max_steps=2", *BARE)
FROM_OTHERS = [c for c in COMMANDS if "init_weights_from" in c]
FINDING = [c for c in COMMANDS if "find-" in c]
COMPILED = [c for c in COMMANDS if "compile" in c]
PLAIN = [c for c in COMMANDS if c not in (*FROM_OTHERS, *FINDING, *COMPILED)]


def arguments_of(command: str) -> list[str]:
    return shlex.split(command.removeprefix(RUNNER))


def test_the_page_shows_each_kind_of_command() -> None:
    counts = [len(commands) for commands in (FROM_OTHERS, FINDING, COMPILED, PLAIN)]
    assert counts == [3, 2, 1, 6]


@pytest.mark.parametrize("command", PLAIN)
def test_it_trains(command: str, tmp_path: Path) -> None:
    done = call(*arguments_of(command), *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (status,) = tmp_path.rglob("status.json")
    assert json.loads(status.read_text())["step"] == 2


@pytest.mark.slow  # a C++ compiler runs
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("command", COMPILED)
def test_it_trains_compiled(command: str, tmp_path: Path) -> None:
    test_it_trains(command, tmp_path)


def test_it_begins_with_the_weights_of_others(tmp_path: Path) -> None:
    assert call("+experiment=digits", *SMALL, cwd=tmp_path).returncode == 0
    shutil.move(only_run(tmp_path, "digits"), tmp_path / "RUN_DIR")
    from runner import Run

    torch.save(Run(tmp_path / "RUN_DIR").load_model().state_dict(), tmp_path / "weights.pt")
    for number, command in enumerate(FROM_OTHERS):
        done = call(*arguments_of(command), *SMALL, f"name=run_{number}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        report = json.loads((only_run(tmp_path, f"run_{number}") / "init_weights.json").read_text())
        assert len(report["loaded"]) == (1 if "strict" in command else 6)


@pytest.mark.slow  # the learning-rate finder is tested in tests/tuning, too
@pytest.mark.parametrize("command", FINDING)
def test_it_finds(command: str, tmp_path: Path) -> None:
    done = call(*arguments_of(command), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "optimizer.lr=" in done.stdout or "data.batch_size=" in done.stdout
    assert command.split(" --")[0] in README


def test_the_page_names_every_optimizer_and_schedule() -> None:
    for group in ("optimizer", "scheduler"):
        (names,) = re.findall(rf"`{group}=` (.*?)[;.]", PAGE, re.DOTALL)
        named = {re.sub(r" \(.*\)", "", name).strip() for name in names.split(",")}
        assert named == set(members(group)) - {"gan"}  # several, by name

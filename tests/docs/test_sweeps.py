"""Each command of docs/sweeps.md that starts or continues a sweep works, and it knows every key."""

import re
import shlex
import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from hydra_plugins.runner_launchers import LocalLauncherConf
from hydra_plugins.runner_sweepers import OptunaSweeperConf
from runner.config.options import SweepOptions
from runner.sweeps.ledger import read_ledger
from tests.commands.command import BARE, call
from tests.commands.test_sweep import only_sweep, states

PAGE = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
RUNNER = "python -m runner "
COMMANDS = [
    shlex.split(line.partition(" #")[0].removeprefix(RUNNER))
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
STARTS = [command for command in COMMANDS if command[0] == "-m"]
QUICK = ("trainer.max_epochs=1", "sweep.check=none", *BARE)


def short(command: list[str]) -> list[str]:
    """Return the command with few trials; its last occurrence of a key counts."""
    is_search = any(word.startswith("hydra.sweeper.n_trials") for word in command)
    return [*command, *QUICK, *(["hydra.sweeper.n_trials=3"] if is_search else [])]


def test_a_sweep_is_widened_resumed_and_begun_afresh(tmp_path: Path) -> None:
    first, second = STARTS[:2]
    assert call(*short(first), cwd=tmp_path).returncode == 0
    directory = only_sweep(tmp_path)
    assert len(states(directory)) == 6
    assert call(*short(second), cwd=tmp_path).returncode == 0
    assert states(directory) == ["completed"] * 8
    shutil.move(directory.path, tmp_path / "SWEEP_DIR")
    resumes = [command for command in COMMANDS if command[0] == "resume"]
    assert len(resumes) == 2
    for command in resumes:
        done = call(*(w.replace("epochs=20", "epochs=2") for w in command), cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", STARTS[2:], ids=lambda command: " ".join(command[2:4]))
def test_a_start_of_the_page_works(tmp_path: Path, command: list[str]) -> None:
    done = call(*short(command), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    directory = only_sweep(tmp_path)
    assert len(states(directory)) in (2, 3)
    assert set(states(directory)) <= {"completed", "pruned"}
    if "zip" in command[-1]:
        assert [len(run.overrides) for run in read_ledger(directory.ledger)] == [2, 2]


def test_the_checks_of_the_page_find_nothing(tmp_path: Path) -> None:
    checks = [command for command in COMMANDS if command[0] == "check"]
    assert len(checks) == 2
    for command in checks:
        done = call(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("node", "prefix"),
    [
        (SweepOptions, "sweep"),
        (LocalLauncherConf, "hydra.launcher"),
        (OptunaSweeperConf, "hydra.sweeper"),
    ],
)
def test_every_key_is_told_with_its_default(node: type, prefix: str) -> None:
    for field in fields(node):
        if field.name in ("_target_", "kind"):
            continue
        name = f"`{prefix}.{field.name}`"
        (line,) = (x for x in PAGE.splitlines() if x.startswith(f"| {name} "))
        default = getattr(node(), field.name)
        shown = {"None": "null"}.get(str(default), str(default))
        assert line.split("|")[2].strip() == shown, line

"""Each command of docs/resume.md does what the page says, and the page knows every option."""

import re
import shlex
import shutil
from dataclasses import fields
from pathlib import Path

from runner.config.options import CheckpointOptions
from tests.commands.command import BARE, call, only_run
from tests.commands.test_run import status
from tests.commands.test_verify import README_COMMAND

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "resume.md").read_text(encoding="utf-8")
RUNNER = "python -m runner "
COMMANDS = [
    shlex.split(line.partition(" #")[0].removeprefix(RUNNER))
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


def test_a_run_is_continued_by_the_commands_of_the_page(tmp_path: Path) -> None:
    (begin,) = (command for command in COMMANDS if command[0].startswith("+"))
    done = call(*begin, "trainer.max_epochs=1", *BARE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shutil.move(only_run(tmp_path, "digits"), tmp_path / "RUN_DIR")
    going_on = [command for command in COMMANDS if command[0] == "resume"]
    assert len(going_on) == 4
    for command in going_on:
        short = [word.replace("max_epochs=20", "max_epochs=2") for word in command]
        done = call(*short, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert status(tmp_path / "RUN_DIR")["state"] == "completed"


def test_the_proofs_are_those_that_are_tested_elsewhere() -> None:
    proofs = [" ".join(command) for command in COMMANDS if command[0] == "verify-resume"]
    assert proofs == [README_COMMAND, f"{README_COMMAND} --steps 12 --keep"]
    assert len(COMMANDS) == 7


def test_every_option_of_checkpoints_is_told_with_its_default() -> None:
    for field in fields(CheckpointOptions):
        (line,) = (
            x for x in PAGE.splitlines() if x.startswith("|") and f"`checkpoint.{field.name}`" in x
        )
        default = {"None": "null", "True": "true"}.get(str(field.default), str(field.default))
        assert line.split("|")[2].strip() == default, line


def test_every_benchmark_and_link_is_there() -> None:
    for script in re.findall(r"python (benchmarks/\S+\.py)", PAGE):
        assert (ROOT / script).is_file()

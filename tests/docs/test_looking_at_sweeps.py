"""Each command of docs/sweeps.md that looks at a sweep does what the page says."""

import re
import shlex
from pathlib import Path

import pytest

from runner.sweeps.directory import SweepDirectory
from tests.checkpoint.strips import checkpoint
from tests.commands.command import call
from tests.sweeps.sweep_directories import begin, done, failed, plan

PAGE = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
COMMANDS = [
    line.partition(" #")[0].strip()
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if re.search(r"runner (status|report|cancel|clean) ", line)
]
ANSWERS = {  # what stands in the output of each
    "status SWEEP_DIR": "3 runs: 2 completed, 1 failed; best evaluation.loss=0.1 is run 1",
    "status SWEEP_DIR --failed": "run 2 failed: RuntimeError: boom",
    "status SWEEP_DIR --json": '"state": "failed"',
    "status RUN_DIR": "completed",
    "report SWEEP_DIR": "SWEEP_DIR/report/report.html",
    "cancel SWEEP_DIR": "nothing to cancel: no job is at work or waits; 3 runs: 2 completed",
    "cancel RUN_DIR": "nothing to cancel: no job is at work or waits; the run is completed",
    "clean SWEEP_DIR": "of 1 run",
    "clean SWEEP_DIR --keep-best 3 --yes": "nothing to delete",
    "clean RUN_DIR --yes": "freed",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where SWEEP_DIR is a sweep and RUN_DIR one of its runs, with what a torn write has left."""
    sweep = plan(SweepDirectory(tmp_path / "SWEEP_DIR").path, [[f"seed={n}"] for n in range(3)])
    for number, status in enumerate((done(0.2), done(0.1), failed("RuntimeError: boom"))):
        run = begin(sweep, number, status, curve=[(50, 0.5), (100, 0.2)])
        checkpoint(run.checkpoints / "step_00000100")
    (tmp_path / "RUN_DIR").symlink_to(sweep.job(1).path)
    return tmp_path


def test_every_command_of_the_page_is_known_here() -> None:
    assert {command.removeprefix("python -m runner ") for command in COMMANDS} == set(ANSWERS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_does_what_it_says(command: str, folder: Path) -> None:
    if command.endswith("RUN_DIR --yes"):
        checkpoint(folder / "RUN_DIR" / "checkpoints" / ".step_00000200.1.partial")
    words = shlex.split(command.removeprefix("python -m runner "))
    ran = call(*words, cwd=folder)
    asks = words[0] == "clean" and "--yes" not in words  # and nobody answers
    assert ran.returncode == (1 if asks else 0), ran.stderr
    assert ANSWERS[" ".join(words)] in ran.stdout

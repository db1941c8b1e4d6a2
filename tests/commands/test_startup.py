"""What does not train is light."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.command import SOURCES, call, run

HEAVY = {"torch", "mlflow", "accelerate", "numpy", "pandas", "matplotlib", "sklearn", "rich", "PIL"}
PROBE = """
import sys
from runner.cli.main import run
try:
    code = run({arguments!r})
except SystemExit as leaving:
    code = leaving.code
print("HEAVY", *sorted({heavy!r} & sys.modules.keys()), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["--cfg", "job"],
        ["--cfg", "job", "optimizer.lr=1"],
        ["--info", "searchpath"],
        ["resume", "--help"],
        ["predict", "--help"],
    ],
    ids=" ".join,
)
def test_it_imports_nothing_heavy_and_takes_little_time(
    arguments: list[str], tmp_path: Path
) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    probe = PROBE.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "HEAVY"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.8


def test_alone_it_shows_what_there_is_to_run(tmp_path: Path) -> None:
    shown = call(cwd=tmp_path).stdout
    for word in ("plate_ocr ", "optimizer ", "adamw", "resume ", "predict ", "Experiments"):
        assert word in shown


def test_shell_completion_knows_the_members_of_a_group(tmp_path: Path) -> None:
    done = run("-sc", "query=bash", cwd=tmp_path, COMP_LINE="runner optimizer=ad")
    assert set(done.stdout.split()) == {"optimizer=adam", "optimizer=adamw"}


def test_help_names_commands_groups_and_keys(tmp_path: Path) -> None:
    shown = call("--help", cwd=tmp_path).stdout
    for word in ("resume RUN_DIR", "optimizer: adam, adamw, sgd", "max_epochs: 20", "--multirun"):
        assert word in shown

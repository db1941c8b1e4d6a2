"""What does not train is light."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli.catalogue import COMMANDS
from tests.commands.command import SOURCES, call, run
from tests.sweeps import sweep_directories

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
        ["status", "--help"],
        ["report", "--help"],
        ["clean", "--help"],
        ["status", "sweep"],
        ["ls", "."],
        ["ls", ".", "--runs", "--where", "trainer.max_steps=100", "--sort", "score"],
        ["compare", "sweep/0", "sweep/1"],
        ["clean", "sweep", "--yes"],
    ],
    ids=" ".join,
)
def test_it_imports_nothing_heavy_and_takes_little_time(
    arguments: list[str], tmp_path: Path
) -> None:
    sweep = sweep_directories.plan(tmp_path / "sweep", [[f"seed={number}"] for number in range(20)])
    for number in range(2):
        sweep_directories.begin(sweep, number, sweep_directories.done(0.5))
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


def test_status_of_a_thousand_runs_takes_less_than_a_second(tmp_path: Path) -> None:
    """benchmarks/status_cost.py measures it; this holds it."""
    runs = [[f"seed={number}"] for number in range(1000)]
    sweep = sweep_directories.plan(tmp_path / "sweep", runs)
    for number in range(1000):
        path = sweep.job(number).status
        path.parent.mkdir()
        path.write_text(json.dumps({"state": "running", "step": 5, "jobs": 1}))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = run("status", "sweep", cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "1000 runs: 1000 lost" in shown.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.8


def test_alone_it_shows_what_there_is_to_run(tmp_path: Path) -> None:
    shown = call(cwd=tmp_path).stdout
    for word in ("plate_ocr ", "optimizer ", "adamw", "resume ", "predict ", "Experiments"):
        assert word in shown


def test_shell_completion_knows_the_members_of_a_group(tmp_path: Path) -> None:
    done = run("-sc", "query=bash", cwd=tmp_path, COMP_LINE="runner optimizer=adam")
    assert set(done.stdout.split()) == {"optimizer=adam", "optimizer=adamax", "optimizer=adamw"}


def test_help_names_commands_groups_and_keys(tmp_path: Path) -> None:
    shown = call("--help", cwd=tmp_path).stdout
    assert [name for name in COMMANDS if f"runner {name} " not in shown] == ["find-batch-size"]
    assert "hydra/launcher=slurm" in shown and "find-batch-size" in shown
    for word in (
        "resume DIR",
        "status DIR",
        "precision: bf16, fp16, fp32, tf32",
        "max_epochs: 20",
        "--multirun",
    ):
        assert word in shown


def test_the_help_names_every_command() -> None:
    text = (Path(__file__).parents[2] / "conf/hydra/help/runner.yaml").read_text(encoding="utf-8")
    assert [word for word in COMMANDS if word not in text.split("Config groups")[0]] == []
    named = {line.split()[3] for line in text.splitlines() if "python -m runner " in line}
    assert set(COMMANDS) - named <= {"find-batch-size"}  # told beside find-lr

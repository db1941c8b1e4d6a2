"""Each command of docs/tracking.md is one that works, and its example does what the page says."""

import re
import shlex
from pathlib import Path

import pytest

from runner.build.from_config import build_trackers
from runner.config.compose import compose
from runner.config.options import TrainerOptions
from runner.config.validate import validate
from runner.run.journal import read_journal
from tests.cli.test_sync import run_of, sweep_of
from tests.commands.command import call, only_run
from tests.trackers.mlflow.world import stored_runs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tracking.md").read_text(encoding="utf-8")
RUNNER = "python -m runner "
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line.partition(" #")[0].removeprefix(RUNNER))
    for language, block in BLOCKS
    for line in block.splitlines()
    if language == "bash"
]
SMALL = ("trainer.max_epochs=1", "hardware.threads=1")
NO_PICTURES = ("~callbacks.learning_curves", "~callbacks.sample_pictures")

pytest.importorskip("tensorboard")


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] != "sync"], ids=" ".join)
def test_every_command_is_a_config_whose_trackers_can_be_made(command: list[str]) -> None:
    build_trackers(validate(compose(command)))


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] == "sync"], ids=" ".join)
def test_what_is_missing_is_delivered(command: list[str], tmp_path: Path) -> None:
    csv = {"csv": {"_target_": "runner.trackers.csv_file.CSVTracker"}}
    run_of(tmp_path / "outputs" / "run1", "completed", csv)
    sweep_of(tmp_path / "outputs" / "sweep", csv, ["completed", "failed"])
    (tmp_path / "RUN_DIR").symlink_to("outputs/run1")
    (tmp_path / "SWEEP_DIR").symlink_to("outputs/sweep")
    store = f"sqlite:///{tmp_path}/server.db"
    done = call(*(word.replace("http://server:5000", store) for word in command), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if "--to" in command:
        assert {run.name for run in stored_runs(tmp_path / "server.db")} == {
            *("run1", "sweep", "0", "1")
        }
    else:
        assert done.stdout.count("5 rows delivered, 0 were there") == 3


def test_monitor_norm_and_profile_do_what_the_page_says(tmp_path: Path) -> None:
    chosen = [
        command for command in COMMANDS if {"callbacks=monitor", "debug=profile"} & {*command}
    ]
    assert len(chosen) == 2
    words = dict.fromkeys(word for command in chosen for word in command)
    quick = ("callbacks.system_monitor.every_seconds=0.05", *NO_PICTURES, *SMALL)
    done = call(*words, *quick, "trackers=csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = only_run(tmp_path, "digits")
    rows = read_journal(path / "metrics.jsonl")
    told = {f"{row.split}/{name}" for row in rows for name in row.values}
    assert {"train/lr", "train/grad_norm", "system/cpu_percent"} <= told
    assert (path / "metrics.csv").exists()
    assert (path / "plots" / "profile_trace.json").exists()


def test_the_function_of_the_page_is_told(tmp_path: Path) -> None:
    for language, text in BLOCKS:
        if language in ("python", "yaml"):
            path = tmp_path / text.partition("\n")[0].removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    quick = ("trackers=none", *NO_PICTURES, *SMALL)
    done = call("+experiment=digits", "callbacks=report", *quick, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = read_journal(only_run(tmp_path, "digits") / "metrics.jsonl")
    (mine,) = (row for row in rows if row.split == "mine")
    (evaluated,) = (row for row in rows if row.split == "evaluation")
    assert mine.values == {"half": evaluated.values["accuracy"] / 2}
    assert mine.step == evaluated.step


def test_the_page_knows_the_options() -> None:
    for name in re.findall(r"trainer\.(\w+)", PAGE):
        assert hasattr(TrainerOptions(), name)
    for member in ("mlflow", "tensorboard", "csv", "accelerate"):
        assert f"| `{member}` |" in PAGE

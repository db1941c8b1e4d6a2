"""A run that is killed at any instant, MLflow and pictures on, ends as if it had not been."""

import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.commands.command import only_run, run, start
from tests.commands.test_run import newest_weights, rows, status, wait_for

LONG = (
    "trainer.max_epochs=60",
    "trainer.evaluate_every=5 epochs",
    "checkpoint.every=20 steps",
    "model.dropout=0.1",
    "callbacks=none",
)
SLOW = "+callbacks.slow._target_=slow.Slow"
PACKAGE = """
import os, time
from runner import Callback

class Slow(Callback):
    def on_step_end(self, fit):
        time.sleep(float(os.environ.get("STEP_SECONDS", "0")))
"""


def in_mlflow(folder: Path) -> list[tuple[str, int, float]]:
    with sqlite3.connect(folder / "outputs" / "mlflow.db") as database:
        found = database.execute(
            "select key, step, value from metrics where key not like 'best/%'"
        ).fetchall()
    return sorted(found)


def in_journal(directory: Path, split: str) -> dict[tuple[str, int], float]:
    return {
        (f"{split}/{name}", row["step"]): value  # type: ignore[misc]
        for row in rows(directory)
        if row["split"] == split
        for name, value in row["values"].items()  # type: ignore[attr-defined]
    }


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    assert run(*LONG, "trackers=none", cwd=folder).returncode == 0
    return only_run(folder)


@pytest.mark.parametrize("delay", [0.0, 0.4, 0.9])
def test_a_killed_run_is_continued_exactly(tmp_path: Path, straight: Path, delay: float) -> None:
    (tmp_path / "slow.py").write_text(PACKAGE)
    process = start(*LONG, SLOW, cwd=tmp_path, STEP_SECONDS="0.02")  # 28 s: it is not faster
    wait_for(tmp_path, "outputs/run/*/checkpoints/step_*")
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    directory = only_run(tmp_path)
    assert status(directory)["state"] == "running"
    done = run("resume", str(directory), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resumed step=" in done.stderr
    assert status(directory)["state"] == "completed"
    assert rows(directory) == rows(straight)
    assert newest_weights(directory) == newest_weights(straight)
    delivered = [row for row in in_mlflow(tmp_path) if not row[0].startswith("speed")]
    expected: dict[tuple[str, int], float] = {}
    for split in ("train", "evaluation", "test"):
        expected |= in_journal(directory, split)
    assert {(key, step): value for key, step, value in delivered} == expected
    assert len(delivered) == len(expected), "a value arrived twice"
